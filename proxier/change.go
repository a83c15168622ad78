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

// listedBackends is how many backends one line of the log lists.
const listedBackends = 8

// backendsText prints how the backends of a frontend changed, "10.244.1.5*:80 -> 10.244.1.5*:80,
// 10.244.2.6:80", the star meaning this node. Of many backends it prints how many there are, and
// which ones came and went. before is nil for a frontend that had none.
func backendsText(before, after *desired.Frontend) string {
	old, now := backendNames(before), backendNames(after)
	if slices.Equal(old, now) {
		return listed(now)
	}
	if len(old) <= listedBackends && len(now) <= listedBackends {
		return listed(old) + " -> " + listed(now)
	}
	return fmt.Sprintf("%d -> %d; gone: %s; new: %s", len(old), len(now), listed(without(old, now)), listed(without(now, old)))
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

// listed prints names, and not too many.
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	out := strings.Join(names[:min(len(names), listedBackends)], ", ")
	if more := len(names) - listedBackends; more > 0 {
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
	// manyFrontends is from how many frontends on it is said that most of them went.
	manyFrontends = 20
	// lossPeriod is how long frontends that went count as one loss: those who delete many
	// Services do it one at a time.
	lossPeriod = time.Minute
)

// losses notices when most frontends go at about the same time, which is more often a mistake
// than a wish: a namespace deleted, a file emptied, a cluster restored from nothing.
type losses struct {
	// last is how many frontends there were last; most how many before the first of them went
	// that count together, and since when.
	last, most int
	since      time.Time
}

// count takes in how many frontends there are, and returns how many went if that is more than
// half of many, which it says once.
func (l *losses) count(n int, now time.Time) (gone, of int) {
	if l.last >= l.most || now.Sub(l.since) > lossPeriod {
		l.most, l.since = l.last, now
	}
	l.most, l.last = max(l.most, n), n
	if gone, of = l.most-n, l.most; of < manyFrontends || 2*gone <= of {
		return 0, 0
	}
	l.most = n
	return gone, of
}
