// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// candidate is an endpoint of a Service port.
type candidate struct {
	services.Endpoint
	port  uint16
	local bool
}

// usableEndpoints are the endpoints that a Service port may use: for traffic policy Cluster, and
// those on this node for policy Local.
type usableEndpoints struct {
	cluster, local []candidate
}

// selectEndpoints returns the usable endpoints of one Service port, by the rules of kube-proxy on
// Linux:
//   - ready endpoints; if there are none, endpoints that are serving and terminating
//     (KEP-1669), separately for policy Cluster and for policy Local;
//   - for policy Cluster only, and only among ready endpoints: same node, else same zone,
//     if every ready endpoint has such hints and at least one names us (KEP-2433, KEP-3015).
//     Hints never leave a Service without endpoints.
func selectEndpoints(all []candidate, node services.Node) usableEndpoints {
	isReady := func(c candidate) bool { return c.Ready }
	isDraining := func(c candidate) bool { return c.Serving && c.Terminating }
	isLocal := func(c candidate) bool { return c.local }
	fallback := func(cs []candidate) []candidate {
		if ready := filter(cs, isReady); len(ready) > 0 {
			return ready
		}
		return filter(cs, isDraining)
	}
	return usableEndpoints{
		cluster: applyHints(fallback(all), node),
		local:   fallback(filter(all, isLocal)),
	}
}

// applyHints filters endpoints for policy Cluster by their hints. Terminating endpoints are
// returned unchanged, since hints apply to ready ones.
func applyHints(cs []candidate, node services.Node) []candidate {
	if len(cs) == 0 || !cs[0].Ready {
		return cs
	}
	forNode := func(c candidate) bool { return hinted(c.Nodes, node.Name) }
	forZone := func(c candidate) bool { return hinted(c.Zones, node.Zone) }
	switch {
	case every(cs, func(c candidate) bool { return c.Nodes != "" }) && slices.ContainsFunc(cs, forNode):
		return filter(cs, forNode)
	case every(cs, func(c candidate) bool { return c.Zones != "" }) && slices.ContainsFunc(cs, forZone):
		return filter(cs, forZone)
	}
	return cs
}

// hinted returns whether a comma-separated list of hints contains name.
func hinted(hints, name string) bool {
	if name == "" || len(hints) < len(name) {
		return false
	}
	for h := range strings.SplitSeq(hints, ",") {
		if h == name {
			return true
		}
	}
	return false
}

func filter(cs []candidate, keep func(candidate) bool) []candidate {
	if every(cs, keep) {
		return cs
	}
	out := make([]candidate, 0, len(cs))
	for _, c := range cs {
		if keep(c) {
			out = append(out, c)
		}
	}
	return out
}

func every(cs []candidate, is func(candidate) bool) bool {
	return !slices.ContainsFunc(cs, func(c candidate) bool { return !is(c) })
}

// candidates returns the endpoints of one Service port and family, ordered by address and port,
// without duplicates. The API may contain an address twice while it moves to another slice or
// another pod; the endpoint with the higher rank is used.
func candidates(in services.Input, p services.Port, f hnslb.Family, node services.Node) []candidate {
	var out []candidate
	for _, s := range in.Slices {
		if s.Family != f {
			continue
		}
		for _, sp := range s.Ports {
			if sp.Name != p.Name || sp.Protocol != p.Protocol {
				continue
			}
			out = slices.Grow(out, len(s.Endpoints))
			for _, e := range s.Endpoints {
				local := e.Node != "" && e.Node == node.Name || slices.Contains(node.IPs, e.IP)
				out = append(out, candidate{Endpoint: e, port: sp.Port, local: local})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b candidate) int {
		return cmp.Or(a.IP.Compare(b.IP), cmp.Compare(a.port, b.port), cmp.Compare(b.rank(), a.rank()))
	})
	return slices.CompactFunc(out, func(a, b candidate) bool { return a.IP == b.IP && a.port == b.port })
}

// rank orders endpoints with the same address: not terminating before terminating, since a pod
// network may assign the address of a terminating pod to a new one, which then gets the packets;
// then ready, then draining, then neither; then local.
func (c candidate) rank() int {
	rank := 0
	if !c.Terminating {
		rank = 8
	}
	switch {
	case c.Ready:
		rank += 4
	case c.Serving && c.Terminating:
		rank += 2
	}
	if c.local {
		rank++
	}
	return rank
}

// withCommonPort returns the endpoints with the most common target port, the lowest of equally
// common ones. HNS has one internal port per load balancer, so endpoints with other ports are left
// out instead of receiving traffic on a wrong port.
func withCommonPort(cs []candidate) []candidate {
	if len(cs) == 0 || every(cs, func(c candidate) bool { return c.port == cs[0].port }) {
		return cs
	}
	count := map[uint16]int{}
	for _, c := range cs {
		count[c.port]++
	}
	var port uint16
	for p, n := range count {
		if best := count[port]; n > best || n == best && p < port {
			port = p
		}
	}
	return filter(cs, func(c candidate) bool { return c.port == port })
}

// findBackend finds an address in sorted backends.
func findBackend(backends []Backend, ip netip.Addr) (int, bool) {
	return slices.BinarySearchFunc(backends, ip, func(b Backend, ip netip.Addr) int { return b.IP.Compare(ip) })
}

func containsBackend(backends []Backend, ip netip.Addr) bool {
	_, ok := findBackend(backends, ip)
	return ok
}
