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
	// The interval between lists of the endpoints while a local backend has no HNS endpoint. It is
	// short at first, since the network plugin usually is creating the endpoint, and doubles from
	// there.
	minLocalListInterval = 250 * time.Millisecond
	maxLocalListInterval = 10 * time.Second
)

// locals tracks the pods of this node. The network plugin creates their HNS endpoints, and HNS
// sends no notification for them (law 10).
type locals struct {
	// pods holds the local backends seen so far.
	pods map[netip.Addr]types.UID
	// fresh holds addresses that HNS has not been listed for since a pod got them. When a new pod
	// reuses an address, it has a new endpoint. inList holds the addresses that the list in
	// progress covers.
	fresh, inList map[netip.Addr]bool
	// deferred holds the tasks that wait for that list.
	deferred map[task]bool
	// tasks holds the tasks that wait for a local endpoint; next is when endpoints are listed for
	// them.
	tasks    map[task]bool
	interval time.Duration
	next     time.Time
}

func newLocals() locals {
	return locals{pods: map[netip.Addr]types.UID{}, fresh: map[netip.Addr]bool{}, inList: map[netip.Addr]bool{},
		deferred: map[task]bool{}, tasks: map[task]bool{}}
}

// note records the local backends of a frontend. Health check frontends are skipped: the address of
// the node's own endpoint comes from a list.
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
			// The pod with this address is on another node now; the endpoint here may be gone.
			delete(l.pods, b.IP)
			l.fresh[b.IP] = true
		}
	}
}

// forget drops an address that no Service lists any more.
func (l *locals) forget(ip netip.Addr) {
	delete(l.pods, ip)
	delete(l.fresh, ip)
}

// mustDefer returns whether a frontend has to wait for a list, because one of its backends became
// or stopped being local.
func (l *locals) mustDefer(f *desired.Frontend) bool {
	if f == nil || len(l.fresh)+len(l.inList) == 0 {
		return false
	}
	return slices.ContainsFunc(f.Backends, func(b desired.Backend) bool { return l.fresh[b.IP] || l.inList[b.IP] })
}

// wantsList returns whether endpoints have to be listed now.
func (l *locals) wantsList(now time.Time) bool {
	return len(l.fresh) > 0 || !l.next.IsZero() && !now.Before(l.next)
}

// listStarted records that a list was started.
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

// setWaiting records the local addresses that a task waits for. An empty list ends the wait.
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
