// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/kubernetes/pkg/proxy"
)

// rule is one way in which hnsproxy differs from upstream on purpose. It either shows
// upstream another input, or changes what upstream's answer is expected to become.
type rule struct {
	name, reason string
	// input returns what upstream is shown instead, nil when the rule does not apply.
	input func(*testCase) *testCase
	// health is the same for health-check node ports.
	health func(*testCase) *testCase
	// output changes the faces, and returns those that stay and how often it applied. It sees
	// the case as hnsproxy does.
	output func(*testCase, []*face) ([]*face, int)
}

// rules lists every intended difference, in the order in which they apply. Each has a
// directed test in differences_test.go.
func rules() []rule {
	return []rule{{
		name:   "a slice may move to another Service",
		reason: "upstream's proxies look at the new object alone, and keep the endpoints of the Service that the label named before",
		input:  movedSlices,
		health: movedSlices,
	}, {
		name:   "an address has one spelling",
		reason: "010.0.0.1 is 10.0.0.1 to upstream and 8.0.0.1 to others (CVE-2021-29923): it is left out, and said (law 12)",
		input:  strictAddresses,
		health: strictAddresses,
	}, {
		name:   "an address has one family",
		reason: "::ffff:203.0.113.1 is IPv4 to upstream and IPv6 to others: as an endpoint it is left out, as a VIP it is blocked, and said (law 12)",
		input:  standInForMapped,
		health: standInForMapped,
		output: blockMapped,
	}, {
		name:   "this node's address is local",
		reason: "HNS makes no remote endpoint of the host's own address, whatever node a hand-made slice names",
		input:  ownAddressLocal,
	}, {
		name:   "one address in two states: the better one",
		reason: "upstream takes any copy that does not terminate, by the order of a Go map; equal input must give equal HNS",
		input:  bestCopy,
	}, {
		name:   "a health check counts an address that any slice shows ready here",
		reason: "upstream first decides between a terminating copy and others; both are of one node, so an answer that is wrong for a moment costs nothing",
		health: anyCopy,
	}, {
		name:   "ingress addresses need type LoadBalancer",
		reason: "an API server clears them when the type changes; a file must not bring them back",
		output: without(func(c *testCase, f *face) bool {
			return f.kind == desired.IngressIP && c.service.Spec.Type != corev1.ServiceTypeLoadBalancer
		}),
	}, {
		name:   "one frontend per address",
		reason: "HNS takes an address, protocol and port once: cluster IP before ingress IP before external IP",
		output: onePerKey,
	}, {
		name:   "preserve-destination is policy Local",
		reason: "the annotation asks for packets that keep the VIP as destination, which needs the endpoint on this node; the kube-proxy for Windows knows it, those for Linux do not",
		output: each(preserveDestination),
	}, {
		name:   "policy Local needs DSR",
		reason: "without DSR an external VIP loses the client's address; HNS before 9.3 serves every endpoint and says so",
		output: each(localNeedsDSR),
	}, {
		name:   "short cut in place of nothing",
		reason: "upstream sends pods and processes of this node to any endpoint, and drops packets from outside; HNS has one list for all, and only DSR without a local endpoint gives pods theirs and outsiders none",
		output: each(shortCut),
	}, {
		name:   "source ranges are not enforced",
		reason: "HNS cannot filter by source: everybody is served, or nobody when the operator says so; both are told",
		output: each(sourceRanges),
	}, {
		name:   "no SCTP",
		reason: "HNS supports TCP and UDP only",
		output: each(func(_ *testCase, f *face) bool { return f.key.Protocol == hnslb.SCTP && f.block(desired.NoProtocol) }),
	}, {
		name:   "no IPv6 on an overlay",
		reason: "Windows overlay networks support IPv4 only (KEP-5100)",
		output: each(func(c *testCase, f *face) bool {
			return f.key.Family == hnslb.IPv6 && c.network.IsOverlay() && f.block(desired.NoIPv6)
		}),
	}, {
		name:   "no IPv6 before HNS 11.10",
		reason: "older HNS has no IPv6 load balancing",
		output: each(func(c *testCase, f *face) bool {
			return f.key.Family == hnslb.IPv6 && !c.features().IPv6 && f.block(desired.NoIPv6)
		}),
	}, {
		name:   "no verdicts",
		reason: "HNS can neither drop nor reject packets to a VIP, it can only not balance them (law 12)",
		output: each(func(_ *testCase, f *face) bool { return f.verdict != forward && f.block(desired.NoEndpoints) }),
	}, {
		name:   "one target port per load balancer",
		reason: "HNS has one internal port per load balancer: the port with the most endpoints wins, the lowest among equals",
		output: each(oneTargetPort),
	}, {
		name:   "at most so many endpoints per load balancer",
		reason: "HNS refuses more than 64, later more than 1,024: those of this node first, then a stable choice of the others",
		output: each(atMost),
	}, {
		name:   "an overlay needs a source VIP",
		reason: "replies to a balanced connection find back through the source VIP only (KEP-5100)",
		output: each(func(c *testCase, f *face) bool {
			return c.network.IsOverlay() && !c.options.SourceVIP.IsValid() && f.block(desired.NoSourceVIP)
		}),
	}}
}

// each makes a rule of one that looks at one face, and tells whether it changed it.
func each(change func(*testCase, *face) bool) func(*testCase, []*face) ([]*face, int) {
	return func(c *testCase, fs []*face) ([]*face, int) {
		hits := 0
		for _, f := range fs {
			// Nothing is in force for a blocked frontend.
			if f.blocked == "" && change(c, f) {
				hits++
			}
		}
		return fs, hits
	}
}

// without makes a rule that takes faces away.
func without(gone func(*testCase, *face) bool) func(*testCase, []*face) ([]*face, int) {
	return func(c *testCase, fs []*face) ([]*face, int) {
		left := slices.DeleteFunc(slices.Clone(fs), func(f *face) bool { return gone(c, f) })
		return left, len(fs) - len(left)
	}
}

// onePerKey leaves one face of an address: an ingress IP is more than an external IP, and
// else the first counts.
func onePerKey(_ *testCase, fs []*face) ([]*face, int) {
	ingress, seen := map[hnslb.FrontendKey]bool{}, map[hnslb.FrontendKey]bool{}
	for _, f := range fs {
		if f.kind == desired.IngressIP {
			ingress[f.key] = true
		}
	}
	left := slices.DeleteFunc(slices.Clone(fs), func(f *face) bool {
		if f.kind == desired.ExternalIP && ingress[f.key] || seen[f.key] {
			return true
		}
		seen[f.key] = true
		return false
	})
	return left, len(fs) - len(left)
}

// block is true, so that a rule can end with it.
func (f *face) block(r desired.Reason) bool {
	f.blocked = r
	return true
}

// take sets the endpoints, and the verdict that follows.
func (f *face) take(local bool, endpoints []proxy.Endpoint) {
	f.local, f.endpoints, f.verdict = local, endpoints, forward
	switch {
	case !f.hasAny:
		f.verdict = reject
	case len(endpoints) == 0:
		f.verdict = drop
	}
}

func preserves(c *testCase) bool {
	return strings.EqualFold(c.service.Annotations["preserve-destination"], "true")
}

func preserveDestination(c *testCase, f *face) bool {
	if !preserves(c) || !c.features().DSR || f.local || f.kind != desired.NodePort && f.kind != desired.IngressIP {
		return false
	}
	f.take(true, f.localOf(c))
	return true
}

func localNeedsDSR(c *testCase, f *face) bool {
	if c.features().DSR || f.kind == desired.ClusterIP || !f.local && !preserves(c) {
		return false
	}
	f.take(false, f.cluster)
	f.limits = append(f.limits, desired.NoLocalPolicy)
	return true
}

// shortCut is not for node ports: they are asked for from outside, where a node without
// local endpoints must not answer, and preserve-destination has no way back from elsewhere.
func shortCut(c *testCase, f *face) bool {
	if f.verdict != drop || f.kind != desired.ExternalIP && (f.kind != desired.IngressIP || preserves(c)) {
		return false
	}
	f.take(false, f.cluster)
	return true
}

func sourceRanges(c *testCase, f *face) bool {
	if f.kind != desired.IngressIP || len(f.port.LoadBalancerSourceRanges()) == 0 {
		return false
	}
	if c.options.SkipSourceRanges {
		return f.block(desired.NoSourceRanges)
	}
	f.limits = append(f.limits, desired.NoSourceRanges)
	return true
}

func oneTargetPort(_ *testCase, f *face) bool {
	count, best := map[int]int{}, 0
	for _, e := range f.endpoints {
		count[e.Port()]++
	}
	for port, n := range count {
		if n > count[best] || n == count[best] && port < best {
			best = port
		}
	}
	if len(count) < 2 {
		return false
	}
	f.endpoints = slices.DeleteFunc(slices.Clone(f.endpoints), func(e proxy.Endpoint) bool { return e.Port() != best })
	f.limits = append(f.limits, desired.MixedPorts)
	return true
}

// atMost expects of hnsproxy some of upstream's endpoints, as many as HNS takes and the
// local ones first; which of the others is its own affair, see desired's tests.
func atMost(c *testCase, f *face) bool {
	most := c.features().MaxEndpoints
	if len(f.endpoints) <= most {
		return false
	}
	f.limits = append(f.limits, desired.TooManyEndpoints)
	held := map[string]bool{}
	frontends, _ := c.ours()
	for _, o := range frontends {
		for _, b := range o.Backends {
			held[b.IP.String()] = held[b.IP.String()] || o.Key == f.key
		}
	}
	some := filter(f.endpoints, func(e proxy.Endpoint) bool { return held[e.IP()] })
	locals := len(filter(f.endpoints, proxy.Endpoint.IsLocal))
	if len(some) == most && len(filter(some, proxy.Endpoint.IsLocal)) == min(most, locals) {
		// Else all of them stay, and the comparison shows it.
		f.endpoints = some
	}
	return true
}

// movedSlices removes a slice from the Service that it leaves.
func movedSlices(c *testCase) *testCase {
	out := *c
	out.history = nil
	seen := map[string]*discoveryv1.EndpointSlice{}
	for _, ch := range c.history {
		if old := seen[ch.slice.Name]; old != nil && old.Labels[discoveryv1.LabelServiceName] != ch.slice.Labels[discoveryv1.LabelServiceName] {
			out.history = append(out.history, change{old, true})
		}
		seen[ch.slice.Name] = ch.slice
		out.history = append(out.history, ch)
	}
	if len(out.history) == len(c.history) {
		return nil
	}
	return &out
}

// withoutEndpoints takes away the endpoints with certain addresses, and tells whether there are any.
func (c *testCase) withoutEndpoints(certain func(ip string) bool) (out *testCase, applies bool) {
	has := func(e discoveryv1.Endpoint) bool { return certain(e.Addresses[0]) }
	out = c.withSlices(func(s *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
		if s.AddressType == discoveryv1.AddressTypeFQDN || !slices.ContainsFunc(s.Endpoints, has) {
			return s
		}
		applies = true
		s = s.DeepCopy()
		s.Endpoints = slices.DeleteFunc(s.Endpoints, has)
		return s
	})
	return out, applies
}

// hasVIP tells whether an external IP or an ingress IP is a certain address.
func (c *testCase) hasVIP(certain func(ip string) bool) bool {
	return slices.ContainsFunc(c.service.Spec.ExternalIPs, certain) ||
		slices.ContainsFunc(c.service.Status.LoadBalancer.Ingress, func(in corev1.LoadBalancerIngress) bool { return certain(in.IP) })
}

// strictAddresses takes away what only a lenient parser reads.
func strictAddresses(c *testCase) *testCase {
	lenient := func(ip string) bool {
		_, err := netip.ParseAddr(ip)
		return ip != "" && err != nil
	}
	out, applies := c.withoutEndpoints(lenient)
	if c.hasVIP(lenient) {
		applies = true
		out.service = c.service.DeepCopy()
		out.service.Spec.ExternalIPs = slices.DeleteFunc(out.service.Spec.ExternalIPs, lenient)
		out.service.Status.LoadBalancer.Ingress = slices.DeleteFunc(out.service.Status.LoadBalancer.Ingress,
			func(in corev1.LoadBalancerIngress) bool { return lenient(in.IP) })
	}
	if !applies {
		return nil
	}
	return out
}

// ownAddressLocal names this node in endpoints with its address.
func ownAddressLocal(c *testCase) *testCase {
	node, _ := services.ReadNode(c.node)
	own := func(e discoveryv1.Endpoint) bool {
		ip, err := netip.ParseAddr(e.Addresses[0])
		return err == nil && slices.Contains(node.IPs, ip) && (e.NodeName == nil || *e.NodeName != thisNode)
	}
	applies := false
	out := c.withSlices(func(s *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
		if !slices.ContainsFunc(s.Endpoints, own) {
			return s
		}
		applies = true
		s = s.DeepCopy()
		for i, e := range s.Endpoints {
			if own(e) {
				s.Endpoints[i].NodeName = new(thisNode)
			}
		}
		return s
	})
	if !applies {
		return nil
	}
	return out
}
