// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// How often endpoints are listed while a local backend has no HNS endpoint: soon at first,
	// since the network plugin is usually at it, then less often.
	minLocalListInterval = 250 * time.Millisecond
	maxLocalListInterval = 10 * time.Second
)

// locals follows the pods of this node, whose HNS endpoints the network plugin makes and
// nobody announces (law 10).
type locals struct {
	// pods are the local backends that were noticed.
	pods map[netip.Addr]types.UID
	// fresh are addresses that HNS was not listed for since a pod came to them; a pod that
	// follows another on one address has another endpoint. inList are those that
	// the list in progress is for.
	fresh, inList map[netip.Addr]bool
	// deferred are tasks that wait for that list.
	deferred map[task]bool
	// tasks wait for a local endpoint; next is when endpoints are listed for them.
	tasks    map[task]bool
	interval time.Duration
	next     time.Time
}

func newLocals() locals {
	return locals{pods: map[netip.Addr]types.UID{}, fresh: map[netip.Addr]bool{}, inList: map[netip.Addr]bool{},
		deferred: map[task]bool{}, tasks: map[task]bool{}}
}

// note looks at the backends of a frontend, but for the node's own endpoint: its address
// comes from a list.
func (l *locals) note(f *desired.Frontend) {
	if f.Kind == desired.HealthCheck {
		return
	}
	for _, b := range f.Backends {
		pod, known := l.pods[b.IP]
		switch {
		case b.Local && (!known || pod != b.Pod):
			l.pods[b.IP] = b.Pod
			l.fresh[b.IP] = true
		case !b.Local && known:
			// Its pod is on another node now: the endpoint here may be gone.
			delete(l.pods, b.IP)
			l.fresh[b.IP] = true
		}
	}
}

// forget drops an address that nobody lists any more.
func (l *locals) forget(ip netip.Addr) {
	delete(l.pods, ip)
	delete(l.fresh, ip)
}

// mustDefer tells whether a frontend waits for a list: a local pod is new to it, or has gone.
func (l *locals) mustDefer(f *desired.Frontend) bool {
	if f == nil || len(l.fresh)+len(l.inList) == 0 {
		return false
	}
	return slices.ContainsFunc(f.Backends, func(b desired.Backend) bool { return l.fresh[b.IP] || l.inList[b.IP] })
}

// wantsList tells whether endpoints are to be listed now.
func (l *locals) wantsList(now time.Time) bool {
	return len(l.fresh) > 0 || !l.next.IsZero() && !now.Before(l.next)
}

// listStarted notes that a list was begun, read that it was taken in, listFailed that it failed.
func (l *locals) listStarted() {
	maps.Copy(l.inList, l.fresh)
	clear(l.fresh)
}

func (l *locals) listMerged(now time.Time) []netip.Addr {
	ips := slices.Collect(maps.Keys(l.inList))
	slices.SortFunc(ips, netip.Addr.Compare)
	clear(l.inList)
	if !l.next.IsZero() {
		l.interval = min(2*l.interval, maxLocalListInterval)
		l.next = now.Add(l.interval)
	}
	return ips
}

func (l *locals) listFailed() {
	maps.Copy(l.fresh, l.inList)
	clear(l.inList)
}

// setWaiting notes for which addresses a task waits; none ends its waiting.
func (l *locals) setWaiting(t task, ips []netip.Addr, now time.Time) {
	if len(ips) == 0 {
		if delete(l.tasks, t); len(l.tasks) == 0 {
			l.next = time.Time{}
		}
		return
	}
	if l.tasks[t] {
		return
	}
	l.tasks[t] = true
	if next := now.Add(minLocalListInterval); l.next.IsZero() || l.interval > minLocalListInterval {
		l.interval, l.next = minLocalListInterval, next
	}
}
