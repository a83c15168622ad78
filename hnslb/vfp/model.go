// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package vfp

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// Network is a network with what hnslb.Network does not show of it.
type Network struct {
	hnslb.Network
	// ManagementIPv6 is the host's IPv6 address on the network. hnslb shows one management
	// IP only, the IPv4 one; node ports of IPv6 answer on this.
	ManagementIPv6 netip.Addr
	// LoopbackDSR: the network plugin lets a pod reach itself through a DSR load balancer.
	LoopbackDSR bool
}

// HostIP is the host's address of a family on the network, the zero Addr if it has none.
func (n Network) HostIP(f hnslb.Family) netip.Addr {
	if n.ManagementIP.IsValid() && hnslb.FamilyOf(n.ManagementIP) == f {
		return n.ManagementIP
	}
	if f == hnslb.IPv6 {
		return n.ManagementIPv6
	}
	return netip.Addr{}
}

// Endpoint is an endpoint with what hnslb.Endpoint does not show of it.
type Endpoint struct {
	hnslb.Endpoint
	// Detached: the switch port of a local endpoint is missing.
	Detached bool
}

// LoadBalancer is a load balancer with what hnslb.LoadBalancer does not show of it.
type LoadBalancer struct {
	hnslb.LoadBalancer
	// Network that its endpoints were on when it was written.
	Network hnslb.ID
	// NodeIP is the management IP that went into the rules of a node port; not valid for
	// others.
	NodeIP netip.Addr
	// NoRules: the object is there, its rules in VFP are not.
	NoRules bool
}

// Tables is what packets depend on. Callers do not change what it returns.
type Tables interface {
	// Networks lists all networks, the oldest first.
	Networks() iter.Seq[Network]
	Network(hnslb.ID) (Network, bool)
	// Endpoint returns an endpoint, whose network is in the tables too.
	Endpoint(hnslb.ID) (Endpoint, bool)
	// EndpointsAt lists the endpoints that have an address.
	EndpointsAt(netip.Addr) iter.Seq[Endpoint]
	HasLocalEndpoint(network hnslb.ID) bool
	// Frontend returns the load balancer that answers on a frontend.
	Frontend(hnslb.FrontendKey) (LoadBalancer, bool)
	// Listens tells whether a program of the host listens on a port of the any-address.
	Listens(HostPort) bool
}

// Model says where packets go on a host.
type Model struct {
	Tables Tables
	// Profile is the host's Windows release.
	Profile profiles.Profile
}

// Trace answers where a packet goes.
func (m Model) Trace(p Packet) Verdict {
	outcomes, d := newTracer(m, p).outcomes()
	return outcomes[hashOf(p, d)%uint64(len(outcomes))]
}

// TraceAll returns everything that can become of new flows to this destination, since a
// hash chooses among the backends: each outcome once, arrivals first, in order.
func (m Model) TraceAll(p Packet) []Verdict {
	outcomes, _ := newTracer(m, p).outcomes()
	slices.SortFunc(outcomes, func(a, b Verdict) int {
		if a.Reached() != b.Reached() {
			if a.Reached() {
				return -1
			}
			return 1
		}
		return cmp.Or(a.Backend.Compare(b.Backend), cmp.Compare(a.String(), b.String()))
	})
	return slices.Compact(outcomes)
}

// Reachable returns the backends that TraceAll reaches, in order, each once.
func (m Model) Reachable(p Packet) []netip.AddrPort {
	var out []netip.AddrPort
	for _, v := range m.TraceAll(p) {
		if v.Reached() {
			out = append(out, v.Backend)
		}
	}
	return slices.Compact(out)
}

// LoadBalancer returns the load balancer that a packet meets.
func (m Model) LoadBalancer(p Packet) (LoadBalancer, bool) {
	t := newTracer(m, p)
	if t.b == nil {
		return LoadBalancer{}, false
	}
	return *t.b, true
}

// IsLocal tells whether an address is that of a pod on the host.
func (m Model) IsLocal(ip netip.Addr) bool {
	for ep := range m.Tables.EndpointsAt(ip) {
		if !ep.Remote {
			return true
		}
	}
	return false
}

// Frontends yields every frontend that a load balancer answers on: each VIP, or the
// node's own address, with each mapping. A half-made one has none.
func Frontends(lb hnslb.LoadBalancer) iter.Seq[hnslb.FrontendKey] {
	return func(yield func(hnslb.FrontendKey) bool) {
		for _, m := range lb.Mappings {
			one := lb
			one.Mappings = []hnslb.PortMapping{m}
			for i := range max(1, len(lb.VIPs)) {
				if len(lb.VIPs) > 0 {
					one.VIPs = lb.VIPs[i : i+1]
				}
				if k, ok := one.Key(); ok && !yield(k) {
					return
				}
			}
		}
	}
}
