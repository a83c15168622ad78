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

// maxListedBackends is the maximum number of backends in one log line.
const maxListedBackends = 8

// backendsText describes how the backends of a frontend changed, such as "10.244.1.5*:80 ->
// 10.244.1.5*:80, 10.244.2.6:80"; the star marks backends on this node. If there are many, it
// prints their number and those that were added or removed. before is nil for a frontend without
// previous backends.
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

// joinLimited joins at most maxListedBackends names.
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

// without returns the names that are not in others.
func without(names, others []string) []string {
	have := make(map[string]bool, len(others))
	for _, o := range others {
		have[o] = true
	}
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return have[n] })
}

const (
	// minFrontends is the minimum number of frontends for which mass deletions are reported.
	minFrontends = 20
	// deletionWindow is how long deletions count together: a person who deletes many Services often
	// deletes them one at a time.
	deletionWindow = time.Minute
)

// deletionDetector detects the deletion of most frontends within a short time. That is usually a
// mistake: a deleted namespace, an emptied file, a cluster restored from nothing.
type deletionDetector struct {
	// lastCount is the last number of frontends. startCount is the number before the deletions that
	// count together, which began at start.
	lastCount, startCount int
	start                 time.Time
}

// count updates the number of frontends. It returns how many were deleted, and of how many, if that
// is more than half; each such deletion is returned once.
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
