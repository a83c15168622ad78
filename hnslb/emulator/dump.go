// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/vfp"
)

// Dump returns the host's state as text for people and golden files: one line per object,
// sorted, without IDs, so that two hosts that hold the same look the same. ParseDump reads
// it back. State is the form that keeps everything.
//
//	network Calico L2Bridge management=10.0.0.5 mac=00-15-5D-3A-11-80 subnets=10.244.1.0/24
//	endpoint 10.244.1.5 local network=Calico mac=0E-2A-0A-F4-01-05
//	endpoint 10.244.2.7 remote network=Calico mac=02-11-0A-F4-02-07
//	loadbalancer 10.96.0.10 53/UDP>5353 flags=DSR backends=10.244.1.5,10.244.2.7
//	loadbalancer node 30080/TCP>8080+LocalRoutedVIP+VIPExternal backends=10.244.1.5,dangling
//	loadbalancer node - backends=10.244.1.5
//	listener 10256/TCP
//	leaked 0.0.0.0:31999/TCP
//
// A mapping is the external port, ">", the internal one and what is set of its flags and
// distribution. "node" stands for no VIP, "-" for no mapping (a half-made object),
// "dangling" for an endpoint that is gone. A backend whose address several endpoints have
// is written "10.244.1.5/remote@Calico".
func (e *Emulator) Dump() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var lines []string
	for _, n := range slices.SortedFunc(slices.Values(e.store.networks), func(a, b *network) int {
		return cmp.Compare(a.Name, b.Name)
	}) {
		lines = append(lines, networkLine(n))
	}
	for _, ep := range slices.SortedFunc(slices.Values(e.store.endpointOrder.items), compareEndpoints) {
		lines = append(lines, endpointLine(ep))
	}
	lines = append(lines, e.store.loadBalancerLines()...)
	listeners, leaked := e.store.ports.listed()
	for _, l := range listeners {
		lines = append(lines, fmt.Sprintf("listener %d/%s", l.Port, l.Protocol))
	}
	for _, k := range leaked {
		lines = append(lines, "leaked "+k.String())
	}
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func compareEndpoints(a, b *endpoint) int {
	return cmp.Or(
		cmp.Compare(a.net.Name, b.net.Name),
		a.ips[0].Compare(b.ips[0]),
		cmp.Compare(btoi(a.remote), btoi(b.remote)),
	)
}

// loadBalancerLines returns the lines of the load balancers in the order of their frontends,
// those without one last.
func (s *store) loadBalancerLines() []string {
	type keyed struct {
		key  hnslb.FrontendKey
		none bool
		line string
	}
	all := make([]keyed, 0, len(s.balancerOrder.items))
	for _, b := range s.balancerOrder.items {
		k := keyed{none: true, line: s.loadBalancerLine(b)}
		for key := range vfp.Frontends(b.LoadBalancer) {
			k.key, k.none = key, false
			break
		}
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b keyed) int {
		return cmp.Or(cmp.Compare(btoi(a.none), btoi(b.none)), a.key.Compare(b.key), cmp.Compare(a.line, b.line))
	})
	lines := make([]string, len(all))
	for i, k := range all {
		lines[i] = k.line
	}
	return lines
}

// line builds one line: words, and fields that are left out when they say nothing.
type line struct{ words []string }

func (l *line) word(w string) { l.words = append(l.words, w) }

func (l *line) mark(name string, on bool) {
	if on {
		l.word(name)
	}
}

func (l *line) field(name, value string) {
	if value != "" {
		l.word(name + "=" + value)
	}
}

func (l *line) addr(name string, a netip.Addr) {
	if a.IsValid() {
		l.field(name, a.String())
	}
}

func (l *line) String() string { return strings.Join(l.words, " ") }

func networkLine(n *network) string {
	l := line{words: []string{"network", url.QueryEscape(n.Name), url.QueryEscape(n.Type)}}
	l.addr("management", n.ManagementIP)
	l.addr("management6", n.hostIPv6)
	l.field("mac", n.HostMAC)
	var subnets, remotes []string
	for _, p := range n.Subnets {
		subnets = append(subnets, p.String())
	}
	for _, r := range n.Remotes {
		remotes = append(remotes, r.Prefix.String()+"@"+r.ProviderAddress.String())
	}
	slices.Sort(remotes)
	l.field("subnets", strings.Join(subnets, ","))
	l.field("remotes", strings.Join(remotes, ","))
	l.field("adapters", joinAdapters(n.Adapters))
	l.mark("loopback-dsr", n.loopbackDSR)
	return l.String()
}

func joinAdapters(all []hnslb.Adapter) string {
	texts := make([]string, 0, len(all))
	for _, a := range all {
		texts = append(texts, a.IP.String()+"@"+a.MAC)
	}
	return strings.Join(texts, ",")
}

func endpointLine(ep *endpoint) string {
	l := line{words: []string{"endpoint", joinAddrs(ep.addrs())}}
	l.word(side(ep))
	l.field("network", url.QueryEscape(ep.net.Name))
	l.field("mac", ep.mac)
	l.addr("pa", ep.provider)
	l.field("name", url.QueryEscape(ep.name))
	l.mark("detached", ep.detached)
	return l.String()
}

func side(ep *endpoint) string {
	if ep.remote {
		return "remote"
	}
	return "local"
}

func (s *store) loadBalancerLine(b *loadBalancer) string {
	vips := joinAddrs(b.VIPs)
	if vips == "" {
		vips = "node"
	}
	mappings := make([]string, len(b.Mappings))
	for i, m := range b.Mappings {
		mappings[i] = mappingText(m)
	}
	if len(mappings) == 0 {
		mappings = []string{"-"}
	}
	l := line{words: []string{"loadbalancer", vips, strings.Join(mappings, ",")}}
	l.field("flags", strings.Join(flagNames(uint32(b.Flags), loadBalancerFlagNames()), "+"))
	l.addr("source", b.SourceVIP)
	s.whereabouts(&l, b)
	l.mark("no-rules", b.noRules)
	l.field("backends", strings.Join(s.backendNames(b), ","))
	return l.String()
}

// whereabouts prints the network and the node IP of a load balancer where they are not
// what its endpoints say.
func (s *store) whereabouts(l *line, b *loadBalancer) {
	net, natural := s.networkByID(b.network), s.networkOf(b.LoadBalancer)
	switch {
	case b.network != "" && net == nil:
		l.word("network-gone")
	case net != nil && net != natural:
		l.field("network", url.QueryEscape(net.Name))
	case net == nil && natural != nil:
		l.word("network-unknown")
	}
	nodeIP := netip.Addr{}
	if net != nil && isNodePort(b.LoadBalancer) {
		nodeIP = net.hostIP(familyOf(b.LoadBalancer))
	}
	if b.nodeIP == nodeIP {
		return
	}
	if !b.nodeIP.IsValid() {
		l.word("no-node-ip")
		return
	}
	l.addr("node-ip", b.nodeIP)
}

// backendNames names the endpoints of a load balancer by address, in order.
func (s *store) backendNames(b *loadBalancer) []string {
	type named struct {
		addr netip.Addr
		name string
	}
	var all []named
	dangling := 0
	for _, id := range b.Endpoints {
		ep := s.endpoints[id]
		if ep == nil {
			dangling++
			continue
		}
		addr := hnslb.FirstOf(ep.addrs(), familyOf(b.LoadBalancer))
		if !addr.IsValid() {
			addr = ep.ips[0]
		}
		name := addr.String()
		if len(s.byIP.more[addr]) > 0 {
			name += "/" + side(ep) + "@" + url.QueryEscape(ep.net.Name)
		}
		all = append(all, named{addr, name})
	}
	slices.SortFunc(all, func(a, b named) int {
		return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.name, b.name))
	})
	names := make([]string, 0, len(b.Endpoints))
	for _, n := range all {
		names = append(names, n.name)
	}
	return append(names, slices.Repeat([]string{"dangling"}, dangling)...)
}

func joinAddrs(addrs []netip.Addr) string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return strings.Join(out, ",")
}

// flagName names one bit, or one value, in a dump.
type flagName struct {
	bit  uint32
	name string
}

func loadBalancerFlagNames() []flagName {
	return []flagName{{uint32(hnslb.DSR), "DSR"}, {uint32(hnslb.IPv6Enabled), "IPv6"}}
}

func mappingFlagNames() []flagName {
	return []flagName{
		{uint32(hnslb.ILB), "ILB"}, {uint32(hnslb.LocalRoutedVIP), "LocalRoutedVIP"},
		{uint32(hnslb.UseMux), "UseMux"}, {uint32(hnslb.PreserveDIP), "PreserveDIP"},
		{uint32(hnslb.VIPExternal), "VIPExternal"},
	}
}

func distributionNames() []flagName {
	return []flagName{
		{uint32(hnslb.SourceIPProtocol), "SourceIPProtocol"}, {uint32(hnslb.SourceIP), "SourceIP"},
	}
}

// flagNames names the bits that are set; bits without a name are one hexadecimal number.
func flagNames(flags uint32, names []flagName) []string {
	var out []string
	for _, n := range names {
		if flags&n.bit != 0 {
			out = append(out, n.name)
			flags &^= n.bit
		}
	}
	if flags != 0 {
		out = append(out, fmt.Sprintf("0x%x", flags))
	}
	return out
}

// mappingText prints "53/UDP>5353+VIPExternal+SourceIP"; a distribution without a name is
// "distribution-9".
func mappingText(m hnslb.PortMapping) string {
	parts := []string{fmt.Sprintf("%d/%s>%d", m.ExternalPort, m.Protocol, m.InternalPort)}
	parts = append(parts, flagNames(uint32(m.Flags), mappingFlagNames())...)
	if m.Distribution != hnslb.FiveTuple {
		name := fmt.Sprintf("distribution-%d", m.Distribution)
		for _, n := range distributionNames() {
			if uint32(m.Distribution) == n.bit {
				name = n.name
			}
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, "+")
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
