// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package bulk

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// Tracker compares what an emulated HNS holds with what it must hold, at each change of HNS, and notes when. Its methods may be
// called from several goroutines. The zero value is not usable, see NewTracker.
type Tracker struct {
	mu       sync.Mutex
	held     map[hnslb.FrontendKey][]netip.Addr
	goals    map[hnslb.FrontendKey]*goal
	complete int // goals that are reached
	changes  []*Change
}

// goal is what one frontend must send to.
type goal struct {
	want []netip.Addr // in order
	// since is when HNS came to hold it, zero while it does not.
	since   time.Time
	pending []*Change
}

// Change is an endpoint that came into a Service.
type Change struct {
	Frontend hnslb.FrontendKey
	IP       netip.Addr
	// Sent is when it was about to be written into the API; Seen is when HNS sent packets to it, zero before.
	Sent, Seen time.Time
}

// Latency is how long the change took to arrive, false if it has not arrived.
func (c Change) Latency() (time.Duration, bool) { return c.Seen.Sub(c.Sent), !c.Seen.IsZero() }

// NewTracker returns a Tracker of an HNS without load balancers. Hear must be the emulator's Config.Watch.
func NewTracker() *Tracker {
	return &Tracker{held: map[hnslb.FrontendKey][]netip.Addr{}, goals: map[hnslb.FrontendKey]*goal{}}
}

// Hear is told of each change of HNS.
func (t *Tracker) Hear(s emulator.Serving) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(s.Backends) == 0 {
		delete(t.held, s.Frontend)
	} else {
		t.held[s.Frontend] = sorted(s.Backends)
	}
	g := t.goals[s.Frontend]
	if g == nil {
		return
	}
	g.pending = slices.DeleteFunc(g.pending, func(c *Change) bool {
		if slices.Contains(s.Backends, c.IP) {
			c.Seen = now
		}
		return !c.Seen.IsZero()
	})
	t.judge(s.Frontend, g, now)
}

// judge notes whether a goal is reached.
func (t *Tracker) judge(k hnslb.FrontendKey, g *goal, now time.Time) {
	reached := slices.Equal(g.want, t.held[k])
	switch {
	case reached && g.since.IsZero():
		g.since = now
		t.complete++
	case !reached && !g.since.IsZero():
		g.since = time.Time{}
		t.complete--
	}
}

// Want says that HNS must hold these Services.
func (t *Tracker) Want(services ...*Service) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range services {
		for _, k := range s.Frontends() {
			g := &goal{want: sorted(s.Backends())}
			t.goals[k] = g
			t.judge(k, g, now)
		}
	}
}

// Forget says that HNS need not hold these Services any more.
func (t *Tracker) Forget(services ...*Service) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range services {
		for _, k := range s.Frontends() {
			if g := t.goals[k]; g != nil && !g.since.IsZero() {
				t.complete--
			}
			delete(t.goals, k)
		}
	}
}

// Expect says that an endpoint is about to be replaced by another in a Service with one frontend, and starts its clock.
func (t *Tracker) Expect(s *Service, old, ip netip.Addr) {
	now := time.Now()
	k := s.Frontends()[0]
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.goals[k]
	want := slices.DeleteFunc(slices.Clone(g.want), func(one netip.Addr) bool { return one == old })
	g.want = sorted(append(want, ip))
	c := &Change{Frontend: k, IP: ip, Sent: now}
	g.pending = append(g.pending, c)
	t.changes = append(t.changes, c)
	t.judge(k, g, now)
}

// Changes returns a copy of all changes that were expected since the last call of ResetChanges.
func (t *Tracker) Changes() []Change {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Change, len(t.changes))
	for i, c := range t.changes {
		all[i] = *c
	}
	return all
}

// ResetChanges forgets all changes.
func (t *Tracker) ResetChanges() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changes = nil
}

// Missing returns how many frontends HNS does not hold as it must.
func (t *Tracker) Missing() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.goals) - t.complete
}

// Since returns when the last of the Services' frontends came to be as it must; it is false while one is not.
func (t *Tracker) Since(services ...*Service) (last time.Time, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range services {
		for _, k := range s.Frontends() {
			g := t.goals[k]
			if g == nil || g.since.IsZero() {
				return time.Time{}, false
			}
			if g.since.After(last) {
				last = g.since
			}
		}
	}
	return last, true
}

// Wanted returns the addresses of all endpoints that are wanted.
func (t *Tracker) Wanted() map[netip.Addr]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[netip.Addr]bool{}
	for _, g := range t.goals {
		for _, ip := range g.want {
			all[ip] = true
		}
	}
	return all
}

// Surplus counts what HNS holds and nobody wants: remote endpoints at addresses that are no backends, and load balancers on
// frontends that no Service has. An overlay's endpoints for cluster IPs are wanted, too.
func (t *Tracker) Surplus(state emulator.State) (endpoints, loadBalancers int) {
	wanted := t.Wanted()
	t.mu.Lock()
	defer t.mu.Unlock()
	for k := range t.goals {
		wanted[k.VIP] = true
	}
	for _, e := range state.Endpoints {
		if e.Remote && !slices.ContainsFunc(e.IPs, func(ip netip.Addr) bool { return wanted[ip] }) {
			endpoints++
		}
	}
	for _, lb := range state.LoadBalancers {
		if k, ok := lb.Key(); !ok || t.goals[k] == nil {
			loadBalancers++
		}
	}
	return endpoints, loadBalancers
}

func sorted(ips []netip.Addr) []netip.Addr {
	ips = slices.Clone(ips)
	slices.SortFunc(ips, netip.Addr.Compare)
	return ips
}
