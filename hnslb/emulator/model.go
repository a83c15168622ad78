// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"fmt"
	"net/netip"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"k8s.io/utils/clock"
)

// Model is the packet model alone: it says where packets go on a host that holds what a State
// says. It never changes, and may be used by several goroutines.
type Model struct {
	store   *store
	profile profiles.Profile
}

// NewModel returns the model of a host. Unlike Restore it takes what a real HNS may hold: what
// contradicts the rest is left out, and returned as errors.
func NewModel(profile profiles.Profile, st State) (*Model, []error) {
	m := &Model{newStore(clock.RealClock{}, nil), profile}
	var left []error
	leave := func(err error, what string, args ...any) {
		if err != nil {
			left = append(left, fmt.Errorf("%s: %w", fmt.Sprintf(what, args...), err))
		}
	}
	for _, n := range st.Networks {
		leave(m.store.restoreNetwork(n), "network %q", n.Name)
	}
	for _, ep := range st.Endpoints {
		leave(m.store.restoreEndpoint(ep), "endpoint %s %v", ep.ID, ep.IPs)
	}
	for _, lb := range st.LoadBalancers {
		leave(m.store.restoreLoadBalancer(lb), "load balancer %s (%s)", lb.ID, lb.ObjectName())
	}
	for _, p := range st.Listeners {
		m.store.ports.listeners[p] = true
	}
	return m, left
}

// Trace answers where a packet goes, as Emulator.Trace does.
func (m *Model) Trace(p Packet) Verdict { return newTracer(m.store, m.profile, p).chosen() }

// TraceAll returns everything that can become of new flows, as Emulator.TraceAll does.
func (m *Model) TraceAll(p Packet) []Verdict { return newTracer(m.store, m.profile, p).all() }

// LoadBalancer returns the load balancer that a packet meets.
func (m *Model) LoadBalancer(p Packet) (hnslb.LoadBalancer, bool) {
	t := newTracer(m.store, m.profile, p)
	if t.b == nil {
		return hnslb.LoadBalancer{}, false
	}
	return publicLoadBalancer(t.b.LoadBalancer), true
}

// Local tells whether an address is that of a pod on the host.
func (m *Model) Local(ip netip.Addr) bool {
	return m.store.byIP.find(ip, func(ep *endpoint) bool { return !ep.remote }) != nil
}
