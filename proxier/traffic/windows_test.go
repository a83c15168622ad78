// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	corev1 "k8s.io/api/core/v1"
)

// release is what a Windows release can do, by its documentation rather than by its HNS
// version (docs/hns.md, Versions and features).
type release struct {
	profile profiles.Profile
	dsr     bool
	ipv6    bool
	// affinity: Windows Server 2022 and later.
	affinity bool
	// keepsDestination: Windows 1903 and later.
	keepsDestination bool
	// backends that one load balancer takes.
	backends int
}

// releases are those that differ in a way that matters to packets. Server 2019 came out
// with HNS 9.1, DSR came to it in August 2020.
func releases() map[string]release {
	early := profiles.WS2019()
	early.Version.Minor = 2
	return map[string]release{
		"ws2019-rtm": {profile: early, backends: 64},
		"ws2019":     {profile: profiles.WS2019(), dsr: true, backends: 64},
		"ws2022":     {profiles.WS2022(), true, true, true, true, 1024},
		"ws2025":     {profiles.WS2025(), true, true, true, true, 1024},
	}
}

// machine is a Windows node as somebody set it up.
type machine struct {
	release
	Overlay bool
	// DSR is --enable-dsr.
	DSR bool
	// LoopbackDSR is a setting of the network plugin.
	LoopbackDSR bool
	// SourceVIP tells whether --source-vip is given.
	SourceVIP bool
	// HostEndpoint: the plugin made an HNS endpoint for the node's own address, as Calico
	// and EKS do.
	HostEndpoint bool
	// Wanderer: the slices say of one pod here that it is on another node. On L2Bridge,
	// where nodes may share a subnet, addresses wander (k8s issue 138000).
	Wanderer bool
	// NodePortRanges is --nodeport-addresses.
	NodePortRanges []string
	// SkipRanges is --hns-unenforced-source-ranges=skip.
	SkipRanges bool
	// pods are the addresses that have a local HNS endpoint.
	pods []netip.Addr
}

func (m *machine) hasEndpoint(ip netip.Addr) bool { return slices.Contains(m.pods, ip) }

// situation is a packet on a Windows node: what Kubernetes promises, and what Windows
// leaves of it.
type situation struct {
	*machine
	packet packet
	answer answer
	used   tally

	// viaDSR: the load balancer rewrites at the port of the pod, so that the client's
	// address stays.
	viaDSR bool
	// keepsDestination: the backend sees the address that the client chose.
	keepsDestination bool
	// lost says why all packets may be lost; "" when they may not.
	lost rule
	// leftOut are endpoints that no load balancer can name, and why.
	leftOut map[netip.AddrPort]rule
	// droppedAt are endpoints whose packets are lost, and why.
	droppedAt map[netip.AddrPort]rule
}

func (s *situation) mayLose(r rule) {
	if s.lost == "" {
		s.lost = r
	}
}

// limit is one thing that Windows cannot do, or does its own way.
type limit struct {
	rule rule
	// promise is what Kubernetes says.
	promise string
	// because is why it is not so on Windows.
	because string
	apply   func(*situation, rule)
}

// limits are all exceptions from the oracle, in the order in which they apply.
func limits() []limit {
	return []limit{
		{"no SCTP", "Service: protocols TCP, UDP, SCTP",
			"HNS supports TCP and UDP", (*situation).noSCTP},
		{"no IPv6 on an overlay", "Service: dual stack",
			"overlay networks support IPv4 only (KEP-5100)", (*situation).noIPv6OnOverlay},
		{"no IPv6 before HNS 11.10", "Service: dual stack",
			"the gate of microsoft/hnslib", (*situation).noIPv6},
		{"an overlay needs a source VIP", "Service: every node balances",
			"answers have nowhere to go without (KEP-5100)", (*situation).noSourceVIP},
		{"the host reaches node ports only", "Service: a virtual IP works from every node",
			"LocalRoutedVIP alone gives the host a route into the switch", (*situation).hostRoute},
		{"node ports answer on the management IP only", "Service: node ports answer on all addresses of the node",
			"HNS puts the management IP into the rules", (*situation).managementIP},
		{"node ports need a pod on the node", "Service: node ports answer on every node",
			"the rules live on the switch port of a pod", (*situation).needsPod},
		{"policy Local needs DSR", "Service: externalTrafficPolicy Local",
			"without DSR all endpoints serve, and the source is lost", (*situation).localNeedsDSR},
		{"pods follow policy Local too", "Service: Cluster semantics within the cluster",
			"a frontend has one load balancer for all clients", (*situation).onePolicy},
		{"policy Local goes by where HNS has the pod", "EndpointSlices: nodeName says where a pod is",
			"the slice is behind: the load balancer for the cluster meets a pod that is here already",
			(*situation).wanderer},
		{"preserve-destination serves pods of the node", "Service: externalTrafficPolicy Cluster",
			"the annotation of the Windows proxy asks for it", (*situation).preserveDestination},
		{"preserve-destination is kept from Windows 1903 on", "-",
			"HNS 9.x knows no PreserveDIP", (*situation).preserveOnOldHNS},
		{"source ranges are not enforced", "Service: loadBalancerSourceRanges",
			"nothing in HNS filters a VIP", (*situation).noSourceRanges},
		{"--hns-unenforced-source-ranges=skip serves nobody", "Service: loadBalancerSourceRanges",
			"rather than everybody; a choice of the operator", (*situation).skipSourceRanges},
		{"hairpin with DSR needs loopbackDSR", "Service: a pod reaches itself through its Service",
			"a setting of the network plugin", (*situation).hairpin},
		{"a backend here needs an HNS endpoint", "EndpointSlices: a ready endpoint gets traffic",
			"only the network plugin makes local endpoints, and none for pods on the host network",
			(*situation).noEndpoint},
	}
}

// Limits that show only in what became of a packet; judge finds them.
const (
	oneTargetPort rule = "one target port per load balancer"
	fewBackends   rule = "a load balancer takes so many backends"
	sourceNAT     rule = "without DSR the node's address is the source"
	noAffinity    rule = "no session affinity before HNS 12.0"
)

func windowsRules() []rule {
	out := []rule{oneTargetPort, fewBackends, sourceNAT, noAffinity}
	for _, l := range limits() {
		out = append(out, l.rule)
	}
	return out
}

// onWindows says what Windows leaves of an answer.
func (m *machine) onWindows(p packet, a answer, used tally) *situation {
	s := &situation{machine: m, packet: p, answer: a, used: used,
		leftOut: map[netip.AddrPort]rule{}, droppedAt: map[netip.AddrPort]rule{}}
	if a.claim == nil {
		return s
	}
	s.viaDSR = s.dsrFor(a.claim)
	for _, l := range limits() {
		l.apply(s, l.rule)
	}
	return s
}

// dsrFor: which load balancers have DSR, by the second table of docs/hns.md, Flags.
func (m *machine) dsrFor(c *claim) bool {
	switch {
	case !m.dsr:
		return false
	case c.face == clusterIP:
		return m.DSR
	case c.face == ingressIP && preserves(c):
		return true
	}
	return externalLocal(c.service)
}

func preserves(c *claim) bool {
	return strings.EqualFold(c.service.Annotations["preserve-destination"], "true")
}

func (s *situation) noSCTP(r rule) {
	if s.packet.protocol == corev1.ProtocolSCTP {
		s.mayLose(r)
	}
}

func (s *situation) noIPv6OnOverlay(r rule) {
	if s.Overlay && s.packet.to.Addr().Is6() {
		s.mayLose(r)
	}
}

func (s *situation) noIPv6(r rule) {
	if !s.ipv6 && s.packet.to.Addr().Is6() {
		s.mayLose(r)
	}
}

func (s *situation) noSourceVIP(r rule) {
	if s.Overlay && !s.SourceVIP {
		s.mayLose(r)
	}
}

func (s *situation) hostRoute(r rule) {
	if s.packet.from.where == theNode && s.answer.claim.face != nodePort {
		s.mayLose(r)
	}
}

func (s *situation) managementIP(r rule) {
	if s.answer.claim.face == nodePort && !slices.Contains(managementIPs(), s.packet.to.Addr()) {
		s.mayLose(r)
	}
}

func (s *situation) needsPod(r rule) {
	if s.answer.claim.face == nodePort && len(s.pods) == 0 {
		s.mayLose(r)
	}
}

func (s *situation) localNeedsDSR(r rule) {
	if c := s.answer.claim; c.face != clusterIP && externalLocal(c.service) && !s.dsr {
		s.replace(c.wide, r)
	}
}

func (s *situation) onePolicy(r rule) {
	c := s.answer.claim
	if (c.face == externalIP || c.face == ingressIP) && externalLocal(c.service) && s.dsr &&
		s.packet.from.inCluster() && len(c.onNode) > 0 {
		s.replace(c.onNode, r)
	}
}

// wanderer adds what may be delivered although the slices do not say so.
func (s *situation) wanderer(r rule) {
	c := s.answer.claim
	if (c.face == externalIP || c.face == ingressIP) && externalLocal(c.service) && s.dsr && len(c.onNode) == 0 &&
		!s.packet.from.inCluster() {
		here := filter(c.wide, func(e endpoint) bool { return s.hasEndpoint(e.addr.Addr()) })
		if len(here) > 0 {
			s.answer.endpoints, s.answer.promised = here, false
			s.used.note(r)
		}
	}
}

func (s *situation) preserveDestination(r rule) {
	c := s.answer.claim
	if !preserves(c) || !s.dsr || c.face != nodePort && c.face != ingressIP {
		return
	}
	s.keepsDestination = c.face == ingressIP
	s.replace(c.onNode, r)
}

func (s *situation) preserveOnOldHNS(r rule) {
	if s.keepsDestination && !s.release.keepsDestination {
		s.keepsDestination = false
		s.used.note(r)
	}
}

func (s *situation) noSourceRanges(r rule) {
	if s.answer.denied && !s.SkipRanges {
		s.answer.denied, s.answer.promised = false, false
		s.used.note(r)
	}
}

func (s *situation) skipSourceRanges(r rule) {
	c := s.answer.claim
	if s.SkipRanges && c.face == ingressIP && !openToAll(c.service.Spec.LoadBalancerSourceRanges, s.packet.to.Addr()) {
		s.replace(nil, r)
	}
}

func (s *situation) hairpin(r rule) {
	self := s.packet.from.addr(s.packet.to.Addr())
	for _, e := range s.answer.endpoints {
		if s.viaDSR && !s.LoopbackDSR && s.packet.from.where == localPod && e.addr.Addr() == self {
			s.droppedAt[e.addr] = r
		}
	}
}

func (s *situation) noEndpoint(r rule) {
	for _, e := range s.answer.endpoints {
		if orDefault(e.api.NodeName, "") == nodeName && !s.hasEndpoint(e.addr.Addr()) {
			s.leftOut[e.addr] = r
		}
	}
}

// replace says who serves instead.
func (s *situation) replace(eps []endpoint, r rule) {
	same := func(a, b endpoint) bool { return a.addr == b.addr }
	if !slices.EqualFunc(s.answer.endpoints, eps, same) {
		s.used.note(r)
	}
	s.answer.endpoints = eps
}

// sources returns the source addresses that a backend may see. mixed tells whether some
// backend that may share the load balancer is outside of the pods.
//
// With DSR it is the client. Else, on L2Bridge, it is the node. On an overlay pods answer
// the source VIP; "a backend outside the cluster, or the address of a remote node, can only
// answer the node IP", and then all backends of the load balancer do (KEP-5100).
func (s *situation) sources(e endpoint, mixed bool) []netip.Addr {
	to := s.packet.to.Addr()
	if s.viaDSR {
		return []netip.Addr{s.packet.from.addr(to)}
	}
	nodeIP := managementIPs()[0]
	if to.Is6() {
		nodeIP = managementIPs()[1]
	}
	switch {
	case !s.Overlay, mixed && outsideOfPods(e):
		return []netip.Addr{nodeIP}
	case mixed:
		return []netip.Addr{sourceVIP(), nodeIP}
	}
	return []netip.Addr{sourceVIP()}
}

// outsideOfPods tells whether an endpoint is neither a pod nor on this node.
func outsideOfPods(e endpoint) bool {
	ip := e.addr.Addr()
	return !slices.Contains(managementIPs(), ip) &&
		!slices.ContainsFunc(podSubnets(), func(p netip.Prefix) bool { return p.Contains(ip) })
}
