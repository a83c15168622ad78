// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// maxListedBackends is how many backends one line of the log lists.
const maxListedBackends = 8

// backendsText prints how the backends of a frontend changed, "10.244.1.5*:80 -> 10.244.1.5*:80,
// 10.244.2.6:80", the star meaning this node. Of many backends it prints how many there are, and
// which ones came and went. before is nil for a frontend that had none.
func backendsText(before, after *desired.Frontend) string {
	old, now := backendNames(before), backendNames(after)
	if slices.Equal(old, now) {
		return joinLimited(now)
	}
	if len(old) <= maxListedBackends && len(now) <= maxListedBackends {
		return joinLimited(old) + " -> " + joinLimited(now)
	}
	return fmt.Sprintf("%d -> %d; gone: %s; new: %s", len(old), len(now), joinLimited(without(old, now)), joinLimited(without(now, old)))
}

func backendNames(f *desired.Frontend) []string {
	if f == nil {
		return nil
	}
	out := make([]string, 0, len(f.Backends))
	for _, b := range f.Backends {
		name := b.IP.String()
		if b.Local {
			name += "*"
		}
		if b.IP.Is6() {
			name = "[" + name + "]"
		}
		out = append(out, fmt.Sprintf("%s:%d", name, f.InternalPort))
	}
	return out
}

// joinLimited prints names, and not too many.
func joinLimited(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	out := strings.Join(names[:min(len(names), maxListedBackends)], ", ")
	if more := len(names) - maxListedBackends; more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	return out
}

// without returns the names that others lacks.
func without(names, others []string) []string {
	have := make(map[string]bool, len(others))
	for _, o := range others {
		have[o] = true
	}
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return have[n] })
}

const (
	// minFrontends is from how many frontends on it is said that most of them went.
	minFrontends = 20
	// deletionWindow is how long frontends that went count as one loss: those who delete many
	// Services do it one at a time.
	deletionWindow = time.Minute
)

// deletionDetector notices when most frontends go at about the same time, which is more often a mistake
// than a wish: a namespace deleted, a file emptied, a cluster restored from nothing.
type deletionDetector struct {
	// lastCount is how many frontends there were last; most how many before the first of them went
	// that count together, and since when.
	lastCount, startCount int
	start                 time.Time
}

// count takes in how many frontends there are, and returns how many went if that is more than
// half of many, which it says once.
func (l *deletionDetector) count(n int, now time.Time) (gone, of int) {
	if l.lastCount >= l.startCount || now.Sub(l.start) > deletionWindow {
		l.startCount, l.start = l.lastCount, now
	}
	l.startCount, l.lastCount = max(l.startCount, n), n
	if gone, of = l.startCount-n, l.startCount; of < minFrontends || 2*gone <= of {
		return 0, 0
	}
	l.startCount = n
	return gone, of
}
