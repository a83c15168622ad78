// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/vfp"
)

// This file holds what HNS refuses. A rule reads and never changes; it returns nil or the
// refusal that HNS would make. Where several apply the first in the order of the callers
// wins; HNS's own order is unknown.

// ruleNoID: the driver contract lets HNS choose IDs. HNS itself would take one
// (docs/hns.md, Conventions), which is why createEndpoint and createLoadBalancer do.
func ruleNoID(id hnslb.ID) error {
	if id != "" {
		return refuse(hnslb.ResultInvalidArgument, "A create must not carry an ID")
	}
	return nil
}

// ruleIDFree: an ID in the document is kept [B: hnslib tests]. The code for one that is
// live was not sighted; 0x800700b7 is the natural one [C].
func (e *Emulator) ruleIDFree(id hnslb.ID) error {
	if id != "" && e.store.has(hnslb.NewID(string(id))) {
		return refuse(hnslb.ResultWin32AlreadyExists, "")
	}
	return nil
}

// endpointRules are the rules of an endpoint's creation.
func (e *Emulator) endpointRules(net *network, ep hnslb.Endpoint) error {
	if err := ruleAddresses(ep.IPs); err != nil {
		return err
	}
	if ep.ProviderAddress.IsValid() && !usableAddress(ep.ProviderAddress) {
		return refuse(hnslb.ResultInvalidIP, "provider address %s", ep.ProviderAddress)
	}
	for _, ip := range ep.IPs {
		if !ep.Remote {
			if err := ruleLocalAddress(net, ip); err != nil {
				return err
			}
		}
		if err := e.ruleAddressFree(net, ep.Remote, ip); err != nil {
			return err
		}
	}
	return nil
}

// ruleAddresses: one address, or one per family (docs/hns.md, Endpoints); each one that a host can
// have. 0x803b001e is the code's own meaning [C].
func ruleAddresses(ips []netip.Addr) error {
	if len(ips) == 0 || len(ips) > 2 {
		return refuse(hnslb.ResultInvalidIP, "%d addresses", len(ips))
	}
	for _, ip := range ips {
		if !usableAddress(ip) {
			return refuse(hnslb.ResultInvalidIP, "%s", ip)
		}
	}
	if len(ips) == 2 && hnslb.FamilyOf(ips[0]) == hnslb.FamilyOf(ips[1]) {
		return refuse(hnslb.ResultInvalidIP, "two addresses of one family")
	}
	return nil
}

func usableAddress(ip netip.Addr) bool {
	return ip.IsValid() && !ip.Is4In6() && ip.Zone() == "" && !ip.IsUnspecified() && !ip.IsMulticast()
}

// ruleLocalAddress: a local endpoint lives in a subnet of its network and takes no
// reserved address: network, gateway (the first host), broadcast [A: k8s issue 100962,
// sig-windows-tools issue 71]. Remote endpoints may have any address [A: a pod on another
// node's host network has that node's].
func ruleLocalAddress(net *network, ip netip.Addr) error {
	if ip == net.hostIP(hnslb.FamilyOf(ip)) {
		return nil // the host's own endpoint, which Calico and EKS make [C: docs/hns.md, What a load balancer can express]
	}
	for _, subnet := range net.Subnets {
		if subnet.Contains(ip) {
			if reservedAddress(subnet, ip) {
				return refuse(hnslb.ResultAddressReserved, "")
			}
			return nil
		}
	}
	if len(net.Subnets) == 0 {
		return nil // nothing to hold it against
	}
	return refuse(hnslb.ResultAddressReserved, "")
}

func reservedAddress(subnet netip.Prefix, ip netip.Addr) bool {
	if subnet.Bits() >= ip.BitLen()-1 {
		return false
	}
	first := subnet.Masked().Addr()
	return ip == first || ip == first.Next() || ip.Is4() && !subnet.Contains(ip.Next())
}

// ruleAddressFree: an address has one local and one remote endpoint per network at most,
// 0x80071392 [A: k8s issue 74766, through V1]. That one of each can stand side by side is
// the trouble of k8s PR 138000; see Quirks.LocalRefusedByRemote.
func (e *Emulator) ruleAddressFree(net *network, remote bool, ip netip.Addr) error {
	if e.store.endpointAt(net, ip, remote) != nil {
		return refuse(hnslb.ResultObjectExists, "")
	}
	if !remote && e.profile.Quirks.LocalRefusedByRemote && e.store.endpointAt(net, ip, true) != nil {
		return refuse(hnslb.ResultAddressReserved, "")
	}
	return nil
}

// keepKnownFields drops what the release's schema does not have: DistributionType came
// with schema 2.7, session affinity with HNS 12.0; HNS 9.x is sent it and ignores it [C:
// winkernel sends it to every release].
func (e *Emulator) keepKnownFields(lb hnslb.LoadBalancer) hnslb.LoadBalancer {
	if !hnslb.FeaturesOf(e.profile.Version).SessionAffinity {
		for i := range lb.Mappings {
			lb.Mappings[i].Distribution = hnslb.FiveTuple
		}
	}
	foldIDs(lb.Endpoints)
	lb.Degraded = false
	return lb
}

func foldIDs(ids []hnslb.ID) {
	for i, id := range ids {
		ids[i] = hnslb.NewID(string(id))
	}
}

// loadBalancerRules are the rules that a load balancer meets on create and on modify.
func (e *Emulator) loadBalancerRules(lb hnslb.LoadBalancer) error {
	if err := e.ruleEndpointCount(len(lb.Endpoints)); err != nil {
		return err
	}
	if err := ruleShape(lb); err != nil {
		return err
	}
	return e.ruleEndpoints(lb.Endpoints)
}

// ruleEndpointCount: at least one endpoint [A: k8s issue 100384], at most the release's
// limit [A: k8s issue 98680].
func (e *Emulator) ruleEndpointCount(n int) error {
	switch {
	case n == 0:
		return refuse(hnslb.ResultInvalidJSONReference, "A Reference is required")
	case n > e.profile.MaxEndpoints:
		return refuse(hnslb.ResultInvalidArgument,
			"Unable to initialize VFP LB rule: invalid number of destinations.")
	}
	return nil
}

// ruleShape: a mapping with TCP or UDP (the schema has no SCTP [C]), both
// ports (0x803b002d says so of the internal one), and VIPs that are addresses. A VIP of
// zeroes would catch everything [A: CVE-2021-25736 was that by way of an empty VIP].
func ruleShape(lb hnslb.LoadBalancer) error {
	if len(lb.Mappings) == 0 {
		return refuse(hnslb.ResultInvalidArgument, "no port mapping")
	}
	for _, m := range lb.Mappings {
		switch {
		case m.Protocol != hnslb.TCP && m.Protocol != hnslb.UDP:
			return refuse(hnslb.ResultInvalidArgument, "%s", m.Protocol)
		case m.InternalPort == 0:
			return refuse(hnslb.ResultInvalidInternalPort, "")
		case m.ExternalPort == 0:
			return refuse(hnslb.ResultInvalidArgument, "external port 0")
		}
	}
	return ruleLoadBalancerAddresses(lb)
}

// ruleLoadBalancerAddresses: VIPs and source VIP are addresses that a host can have.
func ruleLoadBalancerAddresses(lb hnslb.LoadBalancer) error {
	for _, vip := range lb.VIPs {
		if !usableAddress(vip) {
			return refuse(hnslb.ResultInvalidIP, "VIP %s", vip)
		}
	}
	if lb.SourceVIP.IsValid() && !usableAddress(lb.SourceVIP) {
		return refuse(hnslb.ResultInvalidIP, "source VIP %s", lb.SourceVIP)
	}
	return nil
}

// ruleAdapters: an adapter has an address and a MAC. While the network has no MAC its own is not
// there yet.
func ruleAdapters(n *network) error {
	if _, ok := foldMAC(n.HostMAC); !ok && n.HostMAC != "" {
		return refuse(hnslb.ResultInvalidArgument, "MAC %q", n.HostMAC)
	}
	for _, a := range n.Adapters {
		if _, ok := foldMAC(a.MAC); !ok || !usableAddress(a.IP) {
			return refuse(hnslb.ResultInvalidArgument, "adapter %s with MAC %q", a.IP, a.MAC)
		}
	}
	return nil
}

// ruleNetwork: a network is made of values that mean something. 0x80070057 is what bad
// parameters gave [A: sig-windows-tools issue 249].
func ruleNetwork(n *network) error {
	for _, ip := range []netip.Addr{n.ManagementIP, n.hostIPv6} {
		if ip.IsValid() && !usableAddress(ip) {
			return refuse(hnslb.ResultInvalidArgument, "management IP %s", ip)
		}
	}
	for _, p := range n.Subnets {
		if !p.IsValid() || p.Addr().Is4In6() {
			return refuse(hnslb.ResultInvalidArgument, "subnet %s", p)
		}
	}
	for _, r := range n.Remotes {
		if !r.Prefix.IsValid() || r.Prefix.Addr().Is4In6() || !usableAddress(r.ProviderAddress) {
			return refuse(hnslb.ResultInvalidArgument, "remote subnet %s on %s", r.Prefix, r.ProviderAddress)
		}
	}
	if n.Name == "" || n.Type == "" {
		return refuse(hnslb.ResultInvalidArgument, "name %q, type %q", n.Name, n.Type)
	}
	return ruleAdapters(n)
}

// ruleEndpoints: every endpoint exists (code not sighted, Quirks.UnknownEndpointCode),
// has its switch port [B: hcsshim issue 1043], and all are on one network that VFP serves
// [C: the object has one HostComputeNetwork; B: hcsshim 50949ce moved its tests off NAT].
func (e *Emulator) ruleEndpoints(ids []hnslb.ID) error {
	var net *network
	for _, id := range ids {
		ep := e.store.endpoints[id]
		switch {
		case ep == nil:
			return refuse(cmp.Or(e.profile.Quirks.UnknownEndpointCode, hnslb.ResultEndpointNotFound), "")
		case ep.detached:
			return refuse(hnslb.ResultSwitchPortNotFound, "")
		case net != nil && ep.net != net:
			return refuse(hnslb.ResultInvalidArgument, "endpoints of several networks")
		}
		net = ep.net
	}
	if !servedByVFP(net.Type) {
		return refuse(resultVFPNotAllowed, "")
	}
	return nil
}

func servedByVFP(networkType string) bool {
	return slices.ContainsFunc([]string{"L2Bridge", "L2Tunnel", "Transparent", hnslb.NetworkOverlay},
		func(t string) bool { return strings.EqualFold(t, networkType) })
}

// frontendRules are the rules of the frontends that a new load balancer asks for.
func (e *Emulator) frontendRules(lb hnslb.LoadBalancer) error {
	seen := map[hnslb.FrontendKey]bool{}
	for k := range vfp.Frontends(lb) {
		if seen[k] {
			return refuse(hnslb.ResultPortAlreadyExists, "")
		}
		seen[k] = true
		if err := e.ruleFrontendFree(k); err != nil {
			return err
		}
		if err := e.rulePortFree(k, lb.Flags&hnslb.DSR != 0); err != nil {
			return err
		}
	}
	return e.rulePortBlocks(lb)
}

// ruleFrontendFree: one load balancer per frontend, 0x803b0013 [A: common-problems page,
// hcsshim issue 1043]; 0x800700b7 when the twin came back after a restart [A: k8s issue
// 139519]. A node port answers on the management IP, so a VIP with that address is the
// same frontend [C].
func (e *Emulator) ruleFrontendFree(k hnslb.FrontendKey) error {
	for _, twin := range e.store.sameFrontend(k) {
		b := e.store.frontends[twin]
		switch {
		case b != nil && b.restored:
			return refuse(cmp.Or(e.profile.Quirks.RestoredTwinCode, hnslb.ResultWin32AlreadyExists), "")
		case b != nil, e.store.ports.leaked[twin]:
			return refuse(hnslb.ResultPortAlreadyExists, "")
		}
	}
	return nil
}

// rulePortFree: a node port is a port of the host, so a listener or a reservation keeps
// HNS from it [A: common-problems page, k8s PR 137530]. On Server 2019 a listener on the
// any-address keeps it from a VIP too; see Quirks.ListenerTakesVIP.
func (e *Emulator) rulePortFree(k hnslb.FrontendKey, dsr bool) error {
	if !e.store.ports.listeners[HostPort{Protocol: k.Protocol, Port: k.Port}] {
		return nil
	}
	if k.NodePort() || e.profile.Quirks.ListenerTakesVIP && !dsr {
		return refuse(hnslb.ResultPortAlreadyExists, "")
	}
	return nil
}

// rulePortBlocks: without DSR each mapping needs a block of 64 ephemeral ports [A:
// docs/hns.md, Limits].
func (e *Emulator) rulePortBlocks(lb hnslb.LoadBalancer) error {
	limit := e.profile.Quirks.PortBlocks
	if limit == 0 || lb.Flags&hnslb.DSR != 0 {
		return nil
	}
	need := map[hnslb.Protocol]int{}
	for _, m := range lb.Mappings {
		need[m.Protocol]++
		if e.store.ports.blocks[m.Protocol]+need[m.Protocol] > limit {
			return refuse(hnslb.ResultPortAlreadyExists, "")
		}
	}
	return nil
}

// ruleModifyExists: modify came with HNS 15.4; before, 0x80004001 [A: k8s issue 131466,
// hcsshim PR 2139].
func (e *Emulator) ruleModifyExists() error {
	if !e.profile.Version.AtLeast(hnslb.Version{Major: 15, Minor: 4}) {
		return refuse(hnslb.ResultNotImplemented, "")
	}
	return nil
}

// ruleModifyScope: only endpoints, source VIP and internal port change. Nobody has shown
// that anything else can [?], so the emulator refuses it.
func ruleModifyScope(had, want hnslb.LoadBalancer) error {
	same := had.Flags == want.Flags && slices.Equal(had.VIPs, want.VIPs) &&
		slices.EqualFunc(had.Mappings, want.Mappings, func(a, b hnslb.PortMapping) bool {
			a.InternalPort = b.InternalPort
			return a == b
		})
	if !same {
		return refuse(hnslb.ResultInvalidArgument,
			"a modify changes endpoints, source VIP and internal port only")
	}
	return nil
}

// ruleDelete: a delete can fail once (Faults.DeleteFailsOnce), or for good when the
// network is gone (Quirks.OrphanDeleteFails).
func (e *Emulator) ruleDelete(b *loadBalancer) error {
	if e.trouble.faults.DeleteFailsOnce && !b.deleteFailed {
		b.deleteFailed = true
		return refuse(resultFail, "")
	}
	if e.profile.Quirks.OrphanDeleteFails && b.network != "" && e.store.networkByID(b.network) == nil {
		return refuse(hnslb.ResultNetworkNotFound, "")
	}
	return nil
}
