// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"net/netip"
	"time"

	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"k8s.io/apimachinery/pkg/types"
)

// How often HNS is listed while a local backend has no HNS endpoint: soon at first, since
// the network plugin is usually at it, then less often.
const (
	firstLook = 250 * time.Millisecond
	lastLook  = 10 * time.Second
)

// locals follows the pods of this node, whose HNS endpoints the network plugin makes and
// nobody announces (law 10).
type locals struct {
	// pods are the local backends that the view was read for.
	pods map[netip.Addr]types.UID
	// look asks for a list, since a pod came that the view was not read for. A pod that
	// follows another on one address has another endpoint.
	look bool
	// tasks wait for a local endpoint; next is when HNS is listed for them.
	tasks    map[task]bool
	interval time.Duration
	next     time.Time
}

func newLocals() locals {
	return locals{pods: map[netip.Addr]types.UID{}, tasks: map[task]bool{}}
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
			l.look = true
		case !b.Local && known:
			// Its pod is on another node now: the endpoint here may be gone.
			delete(l.pods, b.IP)
			l.look = true
		}
	}
}

// forget drops an address that nobody lists any more.
func (l *locals) forget(ip netip.Addr) { delete(l.pods, ip) }

// waiting notes for which addresses a task waits; none ends its waiting.
func (l *locals) waiting(t task, ips []netip.Addr, now time.Time) {
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
	l.interval = firstLook
	l.next = now.Add(firstLook)
}

// due tells whether HNS is to be listed for those that wait.
func (l *locals) due(now time.Time) bool { return !l.next.IsZero() && !now.Before(l.next) }

// listed notes that HNS was listed.
func (l *locals) listed(now time.Time) {
	l.look = false
	if !l.next.IsZero() {
		l.interval = min(2*l.interval, lastLook)
		l.next = now.Add(l.interval)
	}
}
