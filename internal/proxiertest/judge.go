// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxiertest

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// The flags that hnsproxy and kube-proxy.exe write. A load balancer with others was made by somebody else.
const (
	ownFlags        = hnslb.DSR | hnslb.IPv6Enabled
	ownMappingFlags = hnslb.LocalRoutedVIP | hnslb.UseMux | hnslb.PreserveDIP | hnslb.VIPExternal
)

// onItsWay tells whether a call may have been on its way when something became known.
func onItsWay(known time.Time) bool { return time.Since(known) < 50*time.Millisecond }

func (k *LawKeeper) judgeCreateEndpoint(e hnslb.Endpoint) {
	const verb = hnslb.VerbCreateEndpoint
	name := e.ObjectName()
	if e.Network != k.known.network.ID && !onItsWay(k.known.networkSince) {
		k.breach(4, verb, name, "it is on network %s, the node's pods are on %s", e.Network, k.known.network.ID)
	}
	if len(e.IPs) != 1 {
		k.breach(12, verb, name, "it has %d addresses", len(e.IPs))
		return
	}
	switch {
	case !e.Remote && e.IPs[0] != k.opts.SourceVIP:
		k.breach(10, verb, name, "local endpoints belong to the network plugin")
	case e.Remote && e.IPs[0] == k.opts.SourceVIP && k.known.network.IsOverlay():
		k.breach(12, verb, name, "a remote endpoint has the source VIP")
	}
	k.judgeWhole(verb, e)
	for _, o := range k.known.endpoints {
		if o.Network == e.Network && slices.Contains(o.IPs, e.IPs[0]) && k.counts(o) {
			k.breach(10, verb, name, "endpoint %s has that address", o.ID)
		}
	}
}

// counts tells whether the proxy can know that HNS has an endpoint. A remote one of others may
// wait for a second list to count.
func (k *LawKeeper) counts(e hnslb.Endpoint) bool {
	seen := k.known.seen[e.ID]
	late := onItsWay(seen) || e.Remote && time.Since(seen) <= time.Second
	return !late && !k.known.deleted[e.ID] && !k.known.vague[e.ID]
}

// judgeWhole judges whether an endpoint on an overlay has what its place there rests on, a MAC
// and a provider address: nothing is written from half a picture.
func (k *LawKeeper) judgeWhole(verb hnslb.Verb, e hnslb.Endpoint) {
	n := k.known.network
	switch {
	case !n.IsOverlay():
	case e.MAC == "":
		k.breach(15, verb, e.ObjectName(), "it has no MAC")
	case !e.ProviderAddress.IsValid():
		k.breach(15, verb, e.ObjectName(), "it has no provider address")
	}
}

func (k *LawKeeper) judgeDeleteEndpoint(id hnslb.ID, name string) {
	const verb = hnslb.VerbDeleteEndpoint
	e, ok := k.known.endpoints[id]
	if !ok {
		if !k.known.named[id] {
			k.breach(6, verb, name, "no list and no answer ever named it")
		}
		return
	}
	switch n := k.known.network; {
	case !e.Remote && !k.madeForSourceVIP(e):
		k.breach(10, verb, name, "it is local")
	case e.Network != n.ID && !onItsWay(k.known.networkSince):
		k.breach(7, verb, name, "it is on another network")
	case e.Remote && !strings.EqualFold(e.MAC, hnslb.RemoteMAC(e.IPs[0])) && (!n.IsOverlay() || !k.known.hostMACs[strings.ToUpper(e.MAC)]):
		k.breach(7, verb, name, "its MAC %s is not one that we give", e.MAC)
	}
	if lb := k.known.namedBy(id); lb != nil {
		k.breach(8, verb, name, "load balancer %s names it", lb.ObjectName())
	}
}

// madeForSourceVIP tells whether a local endpoint is the one that a proxy makes for the source
// VIP, and makes anew when the node's address changes: it has no name.
func (k *LawKeeper) madeForSourceVIP(e hnslb.Endpoint) bool {
	return k.known.network.IsOverlay() && e.Unnamed() && len(e.IPs) == 1 && e.IPs[0] == k.opts.SourceVIP
}

// judgeBalancer judges what holds for a load balancer on create and on update.
func (k *LawKeeper) judgeBalancer(verb hnslb.Verb, lb hnslb.LoadBalancer) {
	name := lb.ObjectName()
	if len(lb.Mappings) != 1 || len(lb.VIPs) > 1 {
		k.breach(12, verb, name, "%d mappings and %d VIPs, want one and at most one", len(lb.Mappings), len(lb.VIPs))
		return
	}
	nodePort := lb.Mappings[0].Flags&hnslb.LocalRoutedVIP != 0
	switch {
	case len(lb.VIPs) == 0 && !nodePort:
		k.breach(12, verb, name, "no VIP, and it is no node port (CVE-2021-25736)")
	case len(lb.VIPs) == 1 && nodePort:
		k.breach(12, verb, name, "a node port with a VIP")
	case len(lb.VIPs) == 1 && !usable(lb.VIPs[0]):
		k.breach(12, verb, name, "VIP %s is not the address of one host", lb.VIPs[0])
	}
	if lb.Flags&^ownFlags != 0 || lb.Mappings[0].Flags&^ownMappingFlags != 0 {
		k.breach(4, verb, name, "flags %d and %d are not among ours", lb.Flags, lb.Mappings[0].Flags)
	}
	k.judgeBackends(verb, lb)
}

func usable(ip netip.Addr) bool {
	return ip.IsValid() && !ip.IsUnspecified() && !ip.IsMulticast()
}

func (k *LawKeeper) judgeBackends(verb hnslb.Verb, lb hnslb.LoadBalancer) {
	name := lb.ObjectName()
	if len(lb.Endpoints) == 0 {
		k.breach(12, verb, name, "no endpoints")
	}
	seen := map[hnslb.ID]bool{}
	for _, id := range lb.Endpoints {
		e, ok := k.known.endpoints[id]
		switch {
		case !ok && onItsWay(k.known.lost[id]):
		case !ok:
			k.breach(8, verb, name, "it names endpoint %s, which does not exist", id)
		case e.Network != k.known.network.ID && !onItsWay(k.known.networkSince):
			k.breach(7, verb, name, "it names endpoint %s of another network", e.ObjectName())
		case seen[id]:
			k.breach(12, verb, name, "it names endpoint %s twice", e.ObjectName())
		}
		seen[id] = true
	}
}

// judgeCreateBalancer judges whether the frontend was free, and why it was.
func (k *LawKeeper) judgeCreateBalancer(lb hnslb.LoadBalancer) {
	const verb = hnslb.VerbCreateLoadBalancer
	key, ok := lb.Key()
	if !ok {
		return
	}
	if held := k.known.holder(key); held != nil && (k.known.answered[held.ID] > 0 || !onItsWay(k.known.seen[held.ID])) {
		k.breach(7, verb, key.String(), "load balancer %s holds it", held.ID)
	}
	old := k.dropped[key]
	delete(k.dropped, key)
	if old == nil {
		k.judgeSourceVIP(lb, key)
	}
	if old == nil || k.mixed || k.moved && key.NodePort() || k.hadToGo(old, lb) {
		return
	}
	if k.writes > old.write+1 {
		k.breach(8, verb, key.String(), "it was deleted %d writes ago, other writes came between", k.writes-old.write)
	}
	switch {
	case modifiable(old.lb, k.plain(lb)) && unchanged(old.lb, k.plain(lb)):
		k.breach(1, verb, key.String(), "it was deleted and made again as it was")
	case k.changeable(old.lb, lb):
		k.breach(8, verb, key.String(), "it was deleted and made again, where a change in place would do")
	}
}

// judgeSourceVIP judges whether a new load balancer on an overlay comes after the endpoint of its
// source VIP.
func (k *LawKeeper) judgeSourceVIP(lb hnslb.LoadBalancer, key hnslb.FrontendKey) {
	needed := k.known.network.IsOverlay() && lb.SourceVIP.IsValid() && lb.SourceVIP == k.opts.SourceVIP
	if needed && !k.mixed && !k.known.hasLocal(lb.SourceVIP) {
		k.breach(15, hnslb.VerbCreateLoadBalancer, key.String(), "the endpoint of its source VIP comes after it")
	}
}

// changeable tells whether a change in place would have done. A change that fell short before,
// or flags of which nobody knows whether HNS has them, are reasons to re-create it.
func (k *LawKeeper) changeable(old, lb hnslb.LoadBalancer) bool {
	key, _ := lb.Key()
	return k.known.modify && !k.known.short[key] && lb.Mappings[0].Flags&k.opts.MappingFlags == 0 &&
		modifiable(old, k.plain(lb)) && !strands(old, lb)
}

// strands tells whether a change in place may leave UDP flows on an endpoint or a port that
// goes.
func strands(old, successor hnslb.LoadBalancer) bool {
	was, is := old.Mappings[0], successor.Mappings[0]
	return was.Protocol == hnslb.UDP && (was.InternalPort != is.InternalPort ||
		slices.ContainsFunc(old.Endpoints, func(id hnslb.ID) bool { return !slices.Contains(successor.Endpoints, id) }))
}

// hadToGo tells whether a load balancer had to be deleted before its successor could be
// made: its endpoints had to make room and are gone, or none that the successor names
// could be had.
func (k *LawKeeper) hadToGo(old *dropped, successor hnslb.LoadBalancer) bool {
	return !k.known.anyKnown(old.lb.Endpoints) ||
		!slices.ContainsFunc(successor.Endpoints, func(id hnslb.ID) bool { return k.known.available(id, old.write) })
}

// modifiable tells whether HNS can make one load balancer of the other in place.
func modifiable(a, b hnslb.LoadBalancer) bool {
	return a.Flags == b.Flags && slices.Equal(a.VIPs, b.VIPs) &&
		slices.EqualFunc(a.Mappings, b.Mappings, func(a, b hnslb.PortMapping) bool {
			a.InternalPort = b.InternalPort
			return a == b
		})
}

// unchanged tells whether nothing differs of what HNS can modify.
func unchanged(a, b hnslb.LoadBalancer) bool {
	return sameIDs(a.Endpoints, b.Endpoints) && a.SourceVIP == b.SourceVIP && slices.Equal(a.Mappings, b.Mappings)
}

func (k *LawKeeper) judgeUpdateBalancer(lb hnslb.LoadBalancer) {
	const verb = hnslb.VerbUpdateLoadBalancer
	old, ok := k.known.balancers[lb.ID]
	switch {
	case !ok && k.known.named[lb.ID]:
	case !ok:
		k.breach(6, verb, lb.ObjectName(), "no list and no answer ever named it")
	case !modifiable(old, lb):
		k.breach(8, verb, lb.ObjectName(), "more than endpoints, source VIP and internal port differ")
	case unchanged(old, lb):
		k.breach(1, verb, lb.ObjectName(), "it changes nothing")
	}
}

func (k *LawKeeper) judgeDeleteBalancer(id hnslb.ID, name string) {
	const verb = hnslb.VerbDeleteLoadBalancer
	lb, ok := k.known.balancers[id]
	if !ok {
		if !k.known.named[id] {
			k.breach(6, verb, name, "no list and no answer ever named it")
		}
		return
	}
	// One without mapping is what a failed create leaves behind.
	if len(lb.Mappings) > 1 || len(lb.VIPs) > 1 || lb.Flags&^ownFlags != 0 ||
		len(lb.Mappings) == 1 && lb.Mappings[0].Flags&^ownMappingFlags != 0 {
		k.breach(7, verb, name, "its shape is not ours")
	}
	for _, e := range lb.Endpoints {
		if ep, ok := k.known.endpoints[e]; ok && ep.Network != k.known.network.ID && !onItsWay(k.known.networkSince) {
			k.breach(7, verb, name, "it names endpoint %s of another network", ep.ObjectName())
		}
	}
}
