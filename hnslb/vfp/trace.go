// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package vfp

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// tracer follows one packet through VFP: which frontend it meets, whether that frontend's
// rules see it, and what each backend makes of it.
type tracer struct {
	tables  Tables
	profile profiles.Profile
	packet  Packet
	family  hnslb.Family

	// src is the packet's source address, sender the pod's endpoint if a pod sent it.
	src    netip.Addr
	sender *Endpoint

	// What the packet meets; nil where there is no load balancer.
	key     hnslb.FrontendKey
	b       *LoadBalancer
	mapping hnslb.PortMapping
	net     *Network
}

// The sections of docs/hns.md that tell of the rules.
const (
	secEndpoints = "Endpoints"
	secVersions  = "Versions and features"
	secFlags     = "Flags"
	secExpress   = "What a load balancer can express"
	secSourceVIP = "Source VIP"
	secVFP       = "Rules in VFP"
	secLifecycle = "Lifecycle and persistence"
	secOverlay   = "Overlay"
)

func newTracer(m Model, p Packet) *tracer {
	t := &tracer{tables: m.Tables, profile: m.Profile, packet: p, family: hnslb.FamilyOf(p.To.Addr())}
	t.findFrontend()
	return t
}

// findFrontend looks for the VIP first; a packet to the management IP can also meet a
// node port, which answers on no other address of the host [A mgmt IP; C no other].
func (t *tracer) findFrontend() {
	t.key = hnslb.FrontendKey{
		Family: t.family, VIP: t.packet.To.Addr(), Protocol: t.packet.Protocol, Port: t.packet.To.Port(),
	}
	t.b = found(t.tables.Frontend(t.key))
	if t.b == nil && t.isManagementIP(t.packet.To.Addr()) {
		nodePort := t.key
		nodePort.VIP = netip.Addr{}
		t.b = found(t.tables.Frontend(nodePort))
	}
	if t.b == nil {
		return
	}
	t.net = found(t.tables.Network(t.b.Network))
	for _, m := range t.b.Mappings {
		if m.Protocol == t.packet.Protocol && m.ExternalPort == t.packet.To.Port() {
			t.mapping = m
		}
	}
}

// found is what a table holds, nil for nothing.
func found[T any](x T, ok bool) *T {
	if !ok {
		return nil
	}
	return &x
}

// isManagementIP tells whether ip is the host's address on a network.
func (t *tracer) isManagementIP(ip netip.Addr) bool {
	for n := range t.tables.Networks() {
		if ip.IsValid() && n.HostIP(hnslb.FamilyOf(ip)) == ip {
			return true
		}
	}
	return false
}

// endpoint returns the first endpoint with an address for which want says yes, nil for none.
func (t *tracer) endpoint(ip netip.Addr, want func(Endpoint) bool) *Endpoint {
	for ep := range t.tables.EndpointsAt(ip) {
		if want(ep) {
			return &ep
		}
	}
	return nil
}

// hasEndpoint tells whether a network has a local, or a remote, endpoint with an address.
func (t *tracer) hasEndpoint(network hnslb.ID, ip netip.Addr, remote bool) bool {
	return t.endpoint(ip, func(ep Endpoint) bool { return ep.Network == network && ep.Remote == remote }) != nil
}

// networkOf returns the network of an endpoint, which there always is.
func (t *tracer) networkOf(ep Endpoint) Network {
	n, _ := t.tables.Network(ep.Network)
	return n
}

// outcomes returns what can become of the packet, one verdict per backend in the load
// balancer's order, and how VFP chooses among them. There is always at least one.
func (t *tracer) outcomes() ([]Verdict, hnslb.Distribution) {
	if reason := t.findSource(); reason != "" {
		return []Verdict{lost(secEndpoints, reason)}, hnslb.FiveTuple
	}
	if t.b == nil {
		return []Verdict{t.direct()}, hnslb.FiveTuple
	}
	for _, c := range []struct {
		section string
		check   func() string
	}{
		{secVFP, t.checkRules}, {secVersions, t.checkFamily}, {secFlags, t.checkHost}, {secExpress, t.checkNodePort},
		{secOverlay, t.checkVIPEndpoint},
	} {
		if reason := c.check(); reason != "" {
			return []Verdict{lost(c.section, reason)}, hnslb.FiveTuple
		}
	}
	out := make([]Verdict, 0, len(t.b.Endpoints))
	for _, id := range t.b.Endpoints {
		out = append(out, t.backend(id))
	}
	if len(out) == 0 {
		out = append(out, lost(secExpress, "the load balancer names no endpoint"))
	}
	return out, t.mapping.Distribution
}

// findSource finds the source address, and for a pod the switch port it sends from.
func (t *tracer) findSource() string {
	switch from := t.packet.From; from.kind {
	case fromPod:
		t.sender = t.endpoint(from.ip, func(ep Endpoint) bool { return !ep.Remote })
		if t.sender == nil {
			return "the pod " + from.ip.String() + " has no local endpoint"
		}
		t.src = hnslb.FirstOf(t.sender.IPs, t.family)
	case fromHost:
		for n := range t.tables.Networks() {
			if ip := n.HostIP(t.family); ip.IsValid() {
				t.src = ip
				break
			}
		}
	default:
		t.src = from.ip
	}
	if !t.src.IsValid() || hnslb.FamilyOf(t.src) != t.family {
		return fmt.Sprintf("the %s has no %s address", t.packet.From, t.family)
	}
	return ""
}

// direct is the way of a packet that no load balancer catches: to a pod as it is, or to a
// listener on the host.
func (t *tracer) direct() Verdict {
	to := t.packet.To
	asIs := Verdict{Backend: to, SourceIP: t.src, DestinationKept: true, Reason: "no load balancer", Section: secVFP}
	there := t.endpoint(to.Addr(), func(ep Endpoint) bool { return !t.standsForVIP(ep) })
	switch {
	case t.hostListens():
		return asIs
	case there == nil:
		return lost(secVFP, "no load balancer on "+t.key.String())
	}
	if reason := t.blackHole(there.Network, to.Addr()); reason != "" {
		return lost(secLifecycle, reason)
	}
	return asIs
}

func (t *tracer) hostListens() bool {
	return t.isManagementIP(t.packet.To.Addr()) && t.tables.Listens(HostPort{t.packet.Protocol, t.packet.To.Port()})
}

// standsForVIP tells the remote endpoint of a cluster IP on overlay, which has the host's
// MAC (docs/hns.md, Overlay), from that of a pod.
func (t *tracer) standsForVIP(ep Endpoint) bool {
	n := t.networkOf(ep)
	return ep.Remote && n.IsOverlay() && strings.EqualFold(ep.MAC, n.HostMAC)
}

// blackHole: with a local and a remote endpoint on one address, traffic to it does not
// arrive or does not come back [A: k8s PR 138000, Windows-Containers issue 631].
func (t *tracer) blackHole(network hnslb.ID, ip netip.Addr) string {
	if t.hasEndpoint(network, ip, true) && t.hasEndpoint(network, ip, false) {
		return ip.String() + " has a local and a remote endpoint"
	}
	return ""
}

// checkRules: an object without rules carries nothing [A: networkhealth.ps1], nor does one
// whose network is gone.
func (t *tracer) checkRules() string {
	switch {
	case t.b.NoRules:
		return t.key.String() + " has a load balancer but no rules in VFP"
	case t.net == nil:
		return "the network of the load balancer on " + t.key.String() + " is gone"
	}
	return ""
}

// checkFamily: IPv6 needs the flag on the load balancer, HNS 11.10, and a network that is no
// overlay (docs/hns.md, Flags, and Versions and features).
func (t *tracer) checkFamily() string {
	flagged := t.b.Flags&hnslb.IPv6Enabled != 0
	six := t.family == hnslb.IPv6
	switch {
	case six && !hnslb.FeaturesOf(t.profile.Version).IPv6:
		return "HNS " + t.profile.Version.String() + " balances no IPv6"
	case six && t.net.IsOverlay():
		return "an overlay network carries no IPv6"
	case six != flagged:
		return fmt.Sprintf("the load balancer on %s has the IPv6 flag %v", t.key, flagged)
	}
	return ""
}

// checkHost: LocalRoutedVIP is what gives the host a route into the switch [A: ACN issue
// 1863, k8s PR 74825]. See Quirks.HostReachesVIPs.
func (t *tracer) checkHost() string {
	if t.packet.From.kind == fromHost && t.mapping.Flags&hnslb.LocalRoutedVIP == 0 &&
		!t.profile.Quirks.HostReachesVIPs {
		return "the host reaches a VIP only with LocalRoutedVIP"
	}
	return ""
}

// checkNodePort: the rules of a node port carry the management IP of the time they were
// made [C], and need a local endpoint whose port they can live on [B].
func (t *tracer) checkNodePort() string {
	switch {
	case len(t.b.VIPs) > 0:
		return ""
	case !t.b.NodeIP.IsValid():
		return "the node port was made before the network had a management IP"
	case t.b.NodeIP != t.packet.To.Addr():
		return "the rules of the node port still carry " + t.b.NodeIP.String()
	case !t.tables.HasLocalEndpoint(t.net.ID) && !t.profile.Quirks.NodePortWithoutPods:
		return "a node port answers only on a node with a local endpoint"
	}
	return ""
}

// checkVIPEndpoint: see Quirks.VIPNeedsEndpoint.
func (t *tracer) checkVIPEndpoint() string {
	clusterIP := len(t.b.VIPs) > 0 && t.mapping.Flags&hnslb.VIPExternal == 0
	if t.profile.Quirks.VIPNeedsEndpoint && t.net.IsOverlay() && clusterIP &&
		!t.hasEndpoint(t.net.ID, t.packet.To.Addr(), true) {
		return "the cluster IP has no remote endpoint on the overlay"
	}
	return ""
}

// backend is the way of a packet for which the hash chose this endpoint.
func (t *tracer) backend(id hnslb.ID) Verdict {
	ep, ok := t.tables.Endpoint(id)
	if !ok {
		// The rule goes on naming it: stale rules are k8s issue 112836.
		return lost(secLifecycle, "the chosen endpoint was deleted")
	}
	ip := hnslb.FirstOf(ep.IPs, t.family)
	if !ip.IsValid() {
		return lost(secEndpoints, fmt.Sprintf("backend %s has no %s address", ep.IPs[0], t.family))
	}
	far := secVFP
	if n := t.networkOf(ep); n.IsOverlay() {
		far = secOverlay
	}
	for _, l := range []struct{ section, reason string }{
		{secLifecycle, t.blackHole(ep.Network, ip)}, {far, t.remoteLoss(ep, ip)}, {secFlags, t.hairpinLoss(ip)},
	} {
		if l.reason != "" {
			return lost(l.section, l.reason)
		}
	}
	source, reason := t.sourceAddress()
	if reason != "" {
		return lost(secSourceVIP, reason)
	}
	v := Verdict{Backend: netip.AddrPortFrom(ip, t.mapping.InternalPort), SourceIP: source, Section: secFlags}
	if !t.dsr() {
		v.Section = secSourceVIP
	}
	// PreserveDIP works from Windows 1903, HNS 10, on [B: docs/hns.md, Versions and features].
	if t.mapping.Flags&hnslb.PreserveDIP != 0 && t.profile.Version.Major >= 10 {
		v.DestinationKept = true
		v.Backend = netip.AddrPortFrom(ip, t.packet.To.Port()) // nothing is rewritten
	}
	return v
}

func (t *tracer) dsr() bool { return t.b.Flags&hnslb.DSR != 0 }

// remoteLoss is what keeps a packet from a backend on another node, or from a local one
// that has lost its port.
func (t *tracer) remoteLoss(ep Endpoint, ip netip.Addr) string {
	net := t.networkOf(ep)
	switch {
	case ep.Detached:
		return "backend " + ip.String() + " has no switch port"
	case !ep.Remote:
		return ""
	case t.dsr() && t.packet.From.kind != fromPod:
		// DSR rewrites at the port of a local pod: the client's or the backend's [A for
		// pods; C that nothing is left for others].
		return "DSR carries traffic from " + t.packet.From.String() + " to local backends only"
	case !net.IsOverlay():
		return ""
	case !ep.ProviderAddress.IsValid():
		return "remote endpoint " + ip.String() + " has no provider address"
	}
	for _, r := range net.Remotes {
		if r.Prefix.Contains(ip) && r.ProviderAddress != ep.ProviderAddress {
			return fmt.Sprintf("remote endpoint %s is on %s, not on %s", ip, r.ProviderAddress, ep.ProviderAddress)
		}
	}
	return ""
}

// hairpinLoss: a pod that is its own backend. With DSR it needs a setting of the network
// plugin; without, HNS 9.x on L2Bridge takes the VIP as NAT pool when no source VIP is
// given, and the answer never comes [B: kubernetes/community issue 8890, k8s PR 137455].
func (t *tracer) hairpinLoss(ip netip.Addr) string {
	switch {
	case t.sender == nil || ip != t.src:
		return ""
	case t.dsr() && !t.net.LoopbackDSR:
		return "hairpin with DSR needs the network plugin's loopbackDSR"
	case !t.dsr() && !t.b.SourceVIP.IsValid() && !t.net.IsOverlay() && t.profile.Version.Major == 9:
		return "hairpin without a source VIP times out on HNS " + t.profile.Version.String()
	}
	return ""
}

// sourceAddress is what the backend sees: the client with DSR, else the source VIP, else
// the node's address (docs/hns.md, Flags and Source VIP). An overlay must be given a source
// VIP [A], and answers to it need an endpoint that has it [C].
func (t *tracer) sourceAddress() (netip.Addr, string) {
	if t.dsr() {
		return t.src, ""
	}
	vip, nodeIP := t.b.SourceVIP, t.net.HostIP(t.family)
	switch {
	case vip.IsValid() && hnslb.FamilyOf(vip) != t.family:
		return vip, fmt.Sprintf("source VIP %s is no %s address", vip, t.family)
	case vip.IsValid() && t.net.IsOverlay() && vip != nodeIP &&
		!t.hasEndpoint(t.net.ID, vip, false) && !t.hasEndpoint(t.net.ID, vip, true):
		return vip, "no endpoint has the source VIP " + vip.String()
	case vip.IsValid():
		return vip, ""
	case t.net.IsOverlay():
		return vip, "an overlay network needs a source VIP"
	case !nodeIP.IsValid():
		return vip, fmt.Sprintf("no source VIP, and the network has no %s management IP", t.family)
	}
	return nodeIP, ""
}
