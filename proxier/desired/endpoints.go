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

// candidate is one endpoint that serves a Service port.
type candidate struct {
	services.Endpoint
	port  uint16
	local bool
}

// usableEndpoints are the endpoints that a Service port may use now: those for traffic of policy
// Cluster, and those on this node for policy Local.
type usableEndpoints struct {
	cluster, local []candidate
}

// selectEndpoints picks the usable endpoints of one Service port, by the rules that the Linux
// proxiers share:
//   - ready endpoints; when there is none, those that are serving while they terminate
//     (KEP-1669), for policy Cluster and for policy Local each on its own;
//   - for policy Cluster only, and only among ready endpoints: same node, else same zone,
//     when every ready endpoint has such hints and one of them is for us (KEP-2433,
//     KEP-3015). Hints never leave a Service without endpoints.
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

// applyHints applies the hints to endpoints for policy Cluster. Endpoints that only drain are
// taken as they are: hints speak of ready ones.
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

// hinted tells whether a comma-joined list of hints names us.
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

// candidates returns the endpoints of one Service port and family, in order of address
// and port, each once. While a pod's address moves from slice to slice, or to another
// pod, the API may show it twice: the one of the higher rank counts.
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

// rank orders the states of one address: not terminating before terminating, since a pod
// network may give a pod's address to another while it still terminates, and then packets
// reach the other; among equals ready, then draining, then neither; local first.
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

// withCommonPort returns the endpoints that share one target port: HNS has one internal port per
// load balancer, so of endpoints that disagree the port with the most wins, the lowest
// among equals, and the others are left out rather than sent to a wrong port.
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

// findBackend looks an address up in sorted backends.
func findBackend(backends []Backend, ip netip.Addr) (int, bool) {
	return slices.BinarySearchFunc(backends, ip, func(b Backend, ip netip.Addr) int { return b.IP.Compare(ip) })
}

func containsBackend(backends []Backend, ip netip.Addr) bool {
	_, ok := findBackend(backends, ip)
	return ok
}
