// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/load"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// Tracker tells when each change is in force: when all frontends that it concerns send to exactly the backends that it wants, or to
// those of a later change. The zero value is not usable, see NewTracker; its methods may be called from several goroutines.
type Tracker struct {
	seed maphash.Seed

	mu        sync.Mutex
	frontends map[hnslb.FrontendKey]*frontend
	// missing counts the frontends that do not send to what they must at last.
	missing int
	// offered and applied count changes since the last Take, backlog those that are not in force.
	offered, applied, backlog int
	outOfOrder                int
	interval                  *result.Histogram
}

// frontend is what HNS must do and does for one frontend.
type frontend struct {
	// versions are the states wanted, oldest first; inForce is the index of the last that came into force.
	versions []version
	inForce  int
	// latest is the last version with a set of backends.
	latest map[uint64]int
	held   []netip.Addr
	hash   uint64
	wanted []netip.Addr
	// emptied is when HNS stopped to send anywhere, at a time at which that was wanted. Whether it is that, or a load balancer
	// that is replaced, is known when the next backends are heard of.
	emptied time.Time
	// already is a version that HNS did when it came to be wanted, 0 for none, and alreadyAt when that was. A write of the version
	// before may be on its way; without one it was in force from then on.
	already   int
	alreadyAt time.Time
	// mayBeDark tells that the frontend was meant to have no backends at some time.
	mayBeDark bool
}

type version struct {
	hash   uint64
	change *pending
}

// pending is a change that is not in force.
type pending struct {
	intended time.Time
	// left are the frontends in which it is not in force.
	left int
}

// NewTracker returns a Tracker of an HNS without load balancers. Hear must be the emulator's Config.Watch.
func NewTracker() *Tracker {
	return &Tracker{seed: maphash.MakeSeed(), frontends: map[hnslb.FrontendKey]*frontend{}, interval: result.NewHistogram()}
}

// hashOf is the same for the same set of addresses in another order; that of the empty set is 0.
func (t *Tracker) hashOf(ips []netip.Addr) uint64 {
	var sum uint64
	for _, ip := range ips {
		sum += maphash.Comparable(t.seed, ip)
	}
	return sum
}

// Begin says what HNS must hold at the beginning. held says that it does already, without having been heard of.
func (t *Tracker) Begin(wants []load.Want, held bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range wants {
		h := t.hashOf(w.Backends)
		f := &frontend{versions: []version{{hash: h}}, latest: map[uint64]int{h: 0}, wanted: w.Backends}
		if held {
			f.held, f.hash = w.Backends, h
		} else {
			t.missing++
		}
		t.frontends[w.Frontend] = f
	}
}

// Expect says that a change is about to be written that was meant to be at that time.
func (t *Tracker) Expect(wants []load.Want, intended time.Time) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.offered++
	if len(wants) == 0 {
		t.applied++
		return
	}
	t.backlog++
	p := &pending{intended: intended, left: len(wants)}
	for _, w := range wants {
		f := t.frontends[w.Frontend]
		if f == nil {
			f = &frontend{versions: []version{{}}, latest: map[uint64]int{0: 0}}
			t.frontends[w.Frontend] = f
		}
		missed := f.missing()
		h := t.hashOf(w.Backends)
		f.versions = append(f.versions, version{h, p})
		f.latest[h] = len(f.versions) - 1
		f.wanted = w.Backends
		f.mayBeDark = f.mayBeDark || h == 0
		t.settle(f, missed)
		if f.hash == h {
			f.already, f.alreadyAt = f.latest[h], now
		}
	}
}

func (f *frontend) missing() bool { return f.hash != f.versions[len(f.versions)-1].hash }

// settle counts a frontend anew that was missing or not.
func (t *Tracker) settle(f *frontend, was bool) {
	switch is := f.missing(); {
	case is && !was:
		t.missing++
	case was && !is:
		t.missing--
	}
}

// Hear is told of each change of HNS.
func (t *Tracker) Hear(s emulator.Serving) {
	now := time.Now()
	h := t.hashOf(s.Backends)
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.frontends[s.Frontend]
	if f == nil {
		// Nobody wants it: a leak that Surplus finds.
		return
	}
	missed := f.missing()
	f.held, f.hash = s.Backends, h
	t.settle(f, missed)
	index, known := f.latest[h]
	if h == 0 {
		if known && index > f.inForce && f.emptied.IsZero() {
			f.emptied = now
		}
		return
	}
	emptied := f.emptied
	f.emptied = time.Time{}
	switch {
	case !known || index == f.inForce:
	case index > f.inForce:
		if empty, ok := f.latest[0]; ok && !emptied.IsZero() && empty > f.inForce && empty < index {
			t.reach(f, empty, emptied)
		}
		t.reachAlready(f, index)
		t.reach(f, index, now)
	default:
		t.outOfOrder++
	}
}

// reachAlready ends the waiting for f.already when a version from index on has come into force.
func (t *Tracker) reachAlready(f *frontend, index int) {
	if f.already > f.inForce && f.already <= index {
		t.reach(f, f.already, f.alreadyAt)
	}
	f.already = 0
}

// reach says that a version and all before it are in force in a frontend.
func (t *Tracker) reach(f *frontend, index int, now time.Time) {
	for i := f.inForce + 1; i <= index; i++ {
		p := f.versions[i].change
		f.versions[i].change = nil
		if p.left--; p.left == 0 {
			t.applied++
			t.backlog--
			t.interval.Record(now.Sub(p.intended))
		}
	}
	f.inForce = max(f.inForce, index)
}

// Quiet says that nothing is on its way any more: a frontend that does what is wanted goes on to do so.
func (t *Tracker) Quiet() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.frontends {
		if last := len(f.versions) - 1; !f.emptied.IsZero() && f.versions[last].hash == 0 && f.hash == 0 {
			t.reach(f, last, f.emptied)
			f.emptied = time.Time{}
		}
		if !f.missing() {
			t.reachAlready(f, len(f.versions)-1)
		}
	}
}

// Counts are numbers of changes.
type Counts struct {
	Offered, Applied, Backlog int
	// Latency is that of the changes applied, without those that concern no proxy.
	Latency *result.Histogram
}

// Take returns what happened since the last call, and the backlog of now.
func (t *Tracker) Take() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := Counts{t.offered, t.applied, t.backlog, t.interval}
	t.offered, t.applied, t.interval = 0, 0, result.NewHistogram()
	return c
}

// Backlog returns the number of changes that are not in force.
func (t *Tracker) Backlog() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.backlog
}

// Missing returns how many frontends do not send to what they must.
func (t *Tracker) Missing() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.missing
}

// mustServe tells whether a frontend must have backends all the time.
func (t *Tracker) mustServe(k hnslb.FrontendKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.frontends[k]
	return f != nil && !f.mayBeDark
}

// Violations returns what is wrong when all should be quiet.
func (t *Tracker) Violations(state emulator.State, sourceVIP netip.Addr) result.Violations {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := result.Violations{Missed: t.backlog, OutOfOrder: t.outOfOrder}
	wanted := map[netip.Addr]bool{sourceVIP: true}
	for k, f := range t.frontends {
		if len(f.wanted) > 0 {
			wanted[k.VIP] = true // an overlay has an endpoint for it
		}
		for _, ip := range f.wanted {
			wanted[ip] = true
		}
		switch {
		case f.stale():
			v.Stale++
		case f.missing() && f.inForce == len(f.versions)-1:
			v.Missed++ // it was in force and is no more
		}
	}
	isWanted := func(ip netip.Addr) bool { return wanted[ip] }
	for _, e := range state.Endpoints {
		if e.Remote && !slices.ContainsFunc(e.IPs, isWanted) {
			v.LeakedEndpoints++
		}
	}
	for _, lb := range state.LoadBalancers {
		k, ok := lb.Key()
		if f := t.frontends[k]; !ok || f == nil || len(f.wanted) == 0 {
			v.LeakedLoadBalancers++
		}
	}
	return v
}

// stale tells whether a backend is sent to that is not wanted.
func (f *frontend) stale() bool {
	if !f.missing() {
		return false
	}
	wanted := make(map[netip.Addr]bool, len(f.wanted))
	for _, ip := range f.wanted {
		wanted[ip] = true
	}
	return slices.ContainsFunc(f.held, func(ip netip.Addr) bool { return !wanted[ip] })
}
