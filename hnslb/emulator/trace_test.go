// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// traceCase asks for every outcome of one packet on a node that build has filled.
type traceCase struct {
	name  string
	on    func(t *testing.T) *node
	build func(n *node)
	from  *emulator.Source // nil for the pod 10.244.1.9
	to    string
	udp   bool
	want  []string
}

func bridge(t *testing.T) *node     { t.Helper(); return newNode(t, profiles.WS2022(), "L2Bridge") }
func overlay(t *testing.T) *node    { t.Helper(); return newNode(t, profiles.WS2022(), "Overlay") }
func bridge2019(t *testing.T) *node { t.Helper(); return newNode(t, profiles.WS2019(), "L2Bridge") }

// changed is a bridge with other quirks.
func changed(change func(*profiles.Quirks)) func(*testing.T) *node {
	return func(t *testing.T) *node {
		t.Helper()
		p := profiles.WS2022()
		change(&p.Quirks)
		return newNode(t, p, "L2Bridge")
	}
}

func loopback(t *testing.T) *node {
	t.Helper()
	s := spec("L2Bridge")
	s.LoopbackDSR = true
	return nodeOf(t, emulator.Config{}, s)
}

// backends makes a pod 10.244.1.5 and a remote endpoint 10.244.2.7 and balances on them.
func backends(opts ...option) func(*node) {
	return func(n *node) { n.balance([]hnslb.ID{n.local("10.244.1.5"), n.remote("10.244.2.7")}, opts...) }
}

// backend balances on one local or remote address.
func backend(s string, opts ...option) func(*node) {
	return func(n *node) {
		if strings.HasPrefix(s, "10.244.1.") {
			n.balance([]hnslb.ID{n.local(s)}, opts...)
			return
		}
		n.balance([]hnslb.ID{n.remote(s)}, opts...)
	}
}

// then does several things in order.
func then(steps ...func(*node)) func(*node) {
	return func(n *node) {
		for _, s := range steps {
			s(n)
		}
	}
}

func outside(s string) *emulator.Source { src := emulator.Outside(ip(s)); return &src }
func podAt(s string) *emulator.Source   { src := emulator.LocalPod(ip(s)); return &src }

func pod(s string) func(*node) { return func(n *node) { n.local(s) } }

func TestTrace(t *testing.T) {
	away, host := outside("203.0.113.9"), emulator.Host()
	sixFlags := []option{ipv6, vips("fd00:96::10")}
	for _, c := range []traceCase{
		{
			name: "DSR keeps the client's address", build: backends(dsr),
			want: []string{"10.244.1.5:8080 from 10.244.1.9", "10.244.2.7:8080 from 10.244.1.9"},
		},
		{
			name: "without DSR the node's address", build: backends(),
			want: []string{"10.244.1.5:8080 from 10.0.0.5", "10.244.2.7:8080 from 10.0.0.5"},
		},
		{
			name: "without DSR the source VIP", build: backends(source("10.244.1.2")),
			want: []string{"10.244.1.5:8080 from 10.244.1.2", "10.244.2.7:8080 from 10.244.1.2"},
		},
		{
			name: "no source address before the management IP", build: backends(),
			on: func(t *testing.T) *node {
				t.Helper()
				s := spec("L2Bridge")
				s.ManagementIP = netip.Addr{}
				return nodeOf(t, emulator.Config{}, s)
			},
			want: []string{"lost: no source VIP, and the network has no IPv4 management IP"},
		},
		{name: "no load balancer", build: pod("10.244.1.5"), want: []string{"lost: no load balancer on 10.96.0.10:80/TCP"}},
		{name: "other protocol", build: backends(), udp: true, want: []string{"lost: no load balancer on 10.96.0.10:80/UDP"}},
		{name: "other port", build: backends(), to: "10.96.0.10:81", want: []string{"lost: no load balancer on 10.96.0.10:81/TCP"}},
		{name: "unknown pod", build: backends(), from: podAt("10.244.1.77"), want: []string{"lost: the pod 10.244.1.77 has no local endpoint"}},
		{
			name: "second VIP and mapping", to: "10.96.0.12:81",
			build: backend("10.244.1.5", dsr, vips("10.96.0.11", "10.96.0.12"), func(lb *hnslb.LoadBalancer) {
				lb.Mappings = append(lb.Mappings, hnslb.PortMapping{Protocol: hnslb.TCP, ExternalPort: 81, InternalPort: 8181})
			}),
			want: []string{"10.244.1.5:8181 from 10.244.1.9"},
		},

		{name: "direct to a pod", build: pod("10.244.1.5"), to: "10.244.1.5:8080", want: []string{"10.244.1.5:8080 from 10.244.1.9, destination kept (no load balancer)"}},
		{name: "direct to a host listener", build: func(n *node) { n.Reserve(10250, hnslb.TCP) }, to: "10.0.0.5:10250", want: []string{"10.0.0.5:10250 from 10.244.1.9, destination kept (no load balancer)"}},
		{name: "nothing listens on the host", build: pod("10.244.1.5"), to: "10.0.0.5:10250", want: []string{"lost: no load balancer on 10.0.0.5:10250/TCP"}},
		{
			name: "direct to an address with two endpoints", to: "10.244.1.5:8080",
			build: func(n *node) { n.local("10.244.1.5"); n.remote("10.244.1.5") },
			want:  []string{"lost: 10.244.1.5 has a local and a remote endpoint"},
		},
		{
			name: "balanced to an address with two endpoints", build: then(backend("10.244.1.5", dsr), func(n *node) { n.remote("10.244.1.5") }),
			want: []string{"lost: 10.244.1.5 has a local and a remote endpoint"},
		},

		{
			name: "node port", from: away, to: "10.0.0.5:30080",
			build: backends(nodePort, external(30080), mapped(hnslb.LocalRoutedVIP|hnslb.VIPExternal)),
			want:  []string{"10.244.1.5:8080 from 10.0.0.5", "10.244.2.7:8080 from 10.0.0.5"},
		},
		{
			name: "node port, policy Local", from: away, to: "10.0.0.5:30080",
			build: backend("10.244.1.5", nodePort, dsr, external(30080)),
			want:  []string{"10.244.1.5:8080 from 203.0.113.9"},
		},
		{
			name: "node port on no other address", from: away, to: "10.0.0.77:30080", build: backends(nodePort, external(30080)),
			want: []string{"lost: no load balancer on 10.0.0.77:30080/TCP"},
		},
		{
			name: "node port without pods", from: away, to: "10.0.0.5:30080", build: backend("10.244.2.7", nodePort, external(30080)),
			want: []string{"lost: a node port answers only on a node with a local endpoint"},
		},
		{
			name: "node port without pods, quirk", on: changed(func(q *profiles.Quirks) { q.NodePortWithoutPods = true }),
			from: away, to: "10.0.0.5:30080", build: backend("10.244.2.7", nodePort, external(30080)),
			want: []string{"10.244.2.7:8080 from 10.0.0.5"},
		},
		{
			name: "node port after the management IP flipped", from: away, to: "10.0.0.99:30080",
			build: then(backend("10.244.1.5", nodePort, external(30080)), func(n *node) { n.must(n.SetManagementIP("Calico", ip("10.0.0.99"))) }),
			want:  []string{"lost: the rules of the node port still carry 10.0.0.5"},
		},
		{
			name: "node port after the management IP flipped and HNS restarted", from: away, to: "10.0.0.99:30080",
			build: then(backend("10.244.1.5", nodePort, external(30080)), func(n *node) {
				n.must(n.SetManagementIP("Calico", ip("10.0.0.99")))
				n.Restart(emulator.RestartOptions{})
			}),
			want: []string{"10.244.1.5:8080 from 10.0.0.99"},
		},
		{
			name: "node port before the management IP", from: away, to: "10.0.0.5:30080",
			on: func(t *testing.T) *node {
				t.Helper()
				s := spec("L2Bridge")
				s.ManagementIP = netip.Addr{}
				return nodeOf(t, emulator.Config{}, s)
			},
			build: then(backend("10.244.1.5", nodePort, external(30080)), func(n *node) { n.must(n.SetManagementIP("Calico", ip("10.0.0.5"))) }),
			want:  []string{"lost: the node port was made before the network had a management IP"},
		},
		{
			name: "node port of IPv6", from: outside("2001:db8::9"), to: "[fd00:10::5]:30080",
			build: func(n *node) {
				id := n.local("10.244.1.5", "fd00:1::5")
				n.balance([]hnslb.ID{id}, nodePort, external(30080), ipv6)
				n.balance([]hnslb.ID{id}, nodePort, external(30080))
			},
			want: []string{"[fd00:1::5]:8080 from fd00:10::5"},
		},

		{name: "host without LocalRoutedVIP", from: &host, build: backends(), want: []string{"lost: the host reaches a VIP only with LocalRoutedVIP"}},
		{
			name: "host with LocalRoutedVIP", from: &host, to: "10.0.0.5:30080",
			build: backend("10.244.1.5", nodePort, external(30080), mapped(hnslb.LocalRoutedVIP)),
			want:  []string{"10.244.1.5:8080 from 10.0.0.5"},
		},
		{
			name: "host, quirk", on: changed(func(q *profiles.Quirks) { q.HostReachesVIPs = true }),
			from: &host, build: backend("10.244.1.5"), want: []string{"10.244.1.5:8080 from 10.0.0.5"},
		},

		{
			name: "preserve destination", from: away,
			build: backend("10.244.1.5", dsr, mapped(hnslb.VIPExternal|hnslb.UseMux|hnslb.PreserveDIP)),
			want:  []string{"10.244.1.5:80 from 203.0.113.9, destination kept"},
		},
		{
			name: "preserve destination, Server 2019", on: bridge2019, from: away,
			build: backend("10.244.1.5", dsr, mapped(hnslb.UseMux|hnslb.PreserveDIP)),
			want:  []string{"10.244.1.5:8080 from 203.0.113.9"},
		},
		{
			name: "DSR from outside reaches local backends only", from: away, build: backends(dsr, mapped(hnslb.VIPExternal)),
			want: []string{"10.244.1.5:8080 from 203.0.113.9", "lost: DSR carries traffic from outside 203.0.113.9 to local backends only"},
		},

		{
			name: "deleted endpoints lose their share", build: then(backends(dsr), func(n *node) { n.must(n.RemoveLocalEndpoint(ip("10.244.1.5"))) }),
			want: []string{"10.244.2.7:8080 from 10.244.1.9", "lost: the chosen endpoint was deleted"},
		},
		{
			name: "foreign load balancer without endpoints", build: func(n *node) {
				lb := balancerOf(nil, dsr)
				_, err := n.AddForeignLoadBalancer(lb)
				n.must(err)
			},
			want: []string{"lost: the network of the load balancer on 10.96.0.10:80/TCP is gone"},
		},
		{
			name: "dangling load balancer updated to live endpoints", on: func(t *testing.T) *node {
				t.Helper()
				return newNode(t, profiles.WS2025(), "L2Bridge")
			},
			build: func(n *node) {
				lb, err := n.AddForeignLoadBalancer(balancerOf([]hnslb.ID{unknownID}, dsr))
				n.must(err)
				lb.Endpoints = []hnslb.ID{n.local("10.244.1.5")}
				_, err = n.UpdateLoadBalancer(n.t.Context(), lb)
				n.must(err)
			},
			want: []string{"10.244.1.5:8080 from 10.244.1.9"},
		},
		{
			name: "network replaced", from: away,
			build: then(backend("10.244.1.5"), func(n *node) { _, err := n.ReplaceNetwork("Calico"); n.must(err) }),
			want:  []string{"lost: the network of the load balancer on 10.96.0.10:80/TCP is gone"},
		},
		{
			name: "backend without switch port", build: then(backend("10.244.1.5", dsr), func(n *node) { n.must(n.SetAttached(ip("10.244.1.5"), false)) }),
			want: []string{"lost: backend 10.244.1.5 has no switch port"},
		},
		{
			name: "no data path", build: func(n *node) {
				n.SetFaults(profiles.Faults{NoDataPath: true})
				backend("10.244.1.5", dsr)(n)
			},
			want: []string{"lost: 10.96.0.10:80/TCP has a load balancer but no rules in VFP"},
		},
		{
			name: "no data path, mended by a restart", build: func(n *node) {
				n.SetFaults(profiles.Faults{NoDataPath: true})
				backend("10.244.1.5", dsr)(n)
				n.Restart(emulator.RestartOptions{})
			},
			want: []string{"10.244.1.5:8080 from 10.244.1.9"},
		},

		{
			name: "hairpin without source VIP, Server 2019", on: bridge2019, from: podAt("10.244.1.5"), build: backends(),
			want: []string{"10.244.2.7:8080 from 10.0.0.5", "lost: hairpin without a source VIP times out on HNS 9.5"},
		},
		{
			name: "hairpin with source VIP, Server 2019", on: bridge2019, from: podAt("10.244.1.5"), build: backend("10.244.1.5", source("10.0.0.5")),
			want: []string{"10.244.1.5:8080 from 10.0.0.5"},
		},
		{name: "hairpin without source VIP", from: podAt("10.244.1.5"), build: backend("10.244.1.5"), want: []string{"10.244.1.5:8080 from 10.0.0.5"}},
		{name: "hairpin with DSR", from: podAt("10.244.1.5"), build: backend("10.244.1.5", dsr), want: []string{"lost: hairpin with DSR needs the network plugin's loopbackDSR"}},
		{name: "hairpin with DSR and loopback", on: loopback, from: podAt("10.244.1.5"), build: backend("10.244.1.5", dsr), want: []string{"10.244.1.5:8080 from 10.244.1.5"}},

		{
			name: "IPv6", to: "[fd00:96::10]:80",
			build: func(n *node) { n.balance([]hnslb.ID{n.local("10.244.1.5", "fd00:1::5")}, append(sixFlags, dsr)...) },
			want:  []string{"lost: the pod 10.244.1.9 has no IPv6 address"},
		},
		{
			name: "IPv6 from a dual-stack pod", to: "[fd00:96::10]:80", from: podAt("10.244.1.5"),
			build: func(n *node) {
				n.local("10.244.1.5", "fd00:1::5")
				n.balance([]hnslb.ID{n.local("10.244.1.6", "fd00:1::6"), n.local("10.244.1.7")}, append(sixFlags, dsr)...)
			},
			want: []string{"[fd00:1::6]:8080 from fd00:1::5", "lost: backend 10.244.1.7 has no IPv6 address"},
		},
		{
			name: "IPv6 without the flag", to: "[fd00:96::10]:80", from: outside("2001:db8::9"),
			build: func(n *node) { n.balance([]hnslb.ID{n.local("fd00:1::5")}, vips("fd00:96::10")) },
			want:  []string{"lost: the load balancer on [fd00:96::10]:80/TCP has the IPv6 flag false"},
		},
		{
			name: "IPv4 with the flag", build: backend("10.244.1.5", ipv6),
			want: []string{"lost: the load balancer on 10.96.0.10:80/TCP has the IPv6 flag true"},
		},
		{
			name: "IPv6, Server 2019", on: bridge2019, to: "[fd00:96::10]:80", from: outside("2001:db8::9"),
			build: func(n *node) { n.balance([]hnslb.ID{n.local("fd00:1::5")}, sixFlags...) },
			want:  []string{"lost: HNS 9.5 balances no IPv6"},
		},
		{
			name: "IPv6 on overlay", on: overlay, to: "[fd00:96::10]:80", from: outside("2001:db8::9"),
			build: func(n *node) { n.balance([]hnslb.ID{n.local("fd00:1::5")}, sixFlags...) },
			want:  []string{"lost: an overlay network carries no IPv6"},
		},
		{
			name: "source VIP of the other family", build: backend("10.244.1.5", source("fd00:1::2")),
			want: []string{"lost: source VIP fd00:1::2 is no IPv4 address"},
		},
		{
			name: "families of packet and source differ", build: backends(), from: outside("2001:db8::9"),
			want: []string{"lost: the outside 2001:db8::9 has no IPv4 address"},
		},

		{
			name: "overlay with source VIP", on: overlay, build: then(pod("10.244.1.2"), backends(source("10.244.1.2"))),
			want: []string{"10.244.1.5:8080 from 10.244.1.2", "10.244.2.7:8080 from 10.244.1.2"},
		},
		{name: "overlay without source VIP", on: overlay, build: backend("10.244.1.5"), want: []string{"lost: an overlay network needs a source VIP"}},
		{name: "overlay, source VIP without endpoint", on: overlay, build: backend("10.244.1.5", source("10.244.1.2")), want: []string{"lost: no endpoint has the source VIP 10.244.1.2"}},
		{name: "overlay, source VIP is the node", on: overlay, build: backend("10.244.1.5", source("10.0.0.5")), want: []string{"10.244.1.5:8080 from 10.0.0.5"}},
		{
			name: "overlay, remote endpoint without provider address", on: overlay, build: func(n *node) {
				ep := n.remoteEndpoint("10.244.2.7")
				ep.ProviderAddress = netip.Addr{}
				made, err := n.CreateEndpoint(n.t.Context(), ep)
				n.must(err)
				n.balance([]hnslb.ID{made.ID}, dsr)
			},
			want: []string{"lost: remote endpoint 10.244.2.7 has no provider address"},
		},
		{
			name: "overlay, pod subnet moved to another node", on: overlay, build: then(backend("10.244.2.7", dsr), func(n *node) {
				n.must(n.SetRemotes("Calico", []hnslb.RemoteSubnet{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: ip("10.0.0.8")}}))
			}),
			want: []string{"lost: remote endpoint 10.244.2.7 is on 10.0.0.8, not on 10.0.0.6"},
		},
		{
			name: "overlay, endpoint of a cluster IP is nobody", on: overlay, to: "10.96.0.10:81", build: func(n *node) {
				ep := n.remoteEndpoint("10.96.0.10")
				ep.MAC, ep.ProviderAddress = n.net.HostMAC, n.net.ManagementIP
				_, err := n.CreateEndpoint(n.t.Context(), ep)
				n.must(err)
				backend("10.244.2.7", dsr)(n)
			},
			want: []string{"lost: no load balancer on 10.96.0.10:81/TCP"},
		},
		{
			name: "overlay, cluster IP without its endpoint, quirk", build: backend("10.244.1.5", dsr),
			on: func(t *testing.T) *node {
				t.Helper()
				p := profiles.WS2022()
				p.Quirks.VIPNeedsEndpoint = true
				return newNode(t, p, "Overlay")
			},
			want: []string{"lost: the cluster IP has no remote endpoint on the overlay"},
		},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t) })
	}
}

func (c traceCase) run(t *testing.T) {
	t.Helper()
	on := c.on
	if on == nil {
		on = bridge
	}
	n := on(t)
	n.t = t
	c.build(n)
	p := emulator.Packet{To: addrPort("10.96.0.10:80"), Protocol: hnslb.TCP}
	if c.to != "" {
		p.To = addrPort(c.to)
	}
	if c.from == nil {
		n.local("10.244.1.9")
		p.From = emulator.LocalPod(ip("10.244.1.9"))
	} else {
		p.From = *c.from
	}
	if c.udp {
		p.Protocol = hnslb.UDP
	}
	var got []string
	for _, v := range n.TraceAll(p) {
		got = append(got, v.String())
	}
	if fmt.Sprint(got) != fmt.Sprint(c.want) {
		t.Errorf("%v to %s:\n got %q\nwant %q", p.From, p.To, got, c.want)
	}
	one := n.Trace(p).String()
	if !slices.Contains(got, one) {
		t.Errorf("Trace says %q, TraceAll %q", one, got)
	}
}

// TestAffinity: which parts of a flow choose the backend.
func TestAffinity(t *testing.T) {
	for _, c := range []struct {
		name         string
		distribution hnslb.Distribution
		byPort       bool // another source port may reach another backend
		byProtocol   bool
	}{
		{"five-tuple", hnslb.FiveTuple, true, true},
		{"source IP and protocol", hnslb.SourceIPProtocol, false, true},
		{"source IP", hnslb.SourceIP, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, profiles.WS2022(), "L2Bridge")
			ids := []hnslb.ID{n.local("10.244.1.5"), n.local("10.244.1.6"), n.remote("10.244.2.7")}
			n.balance(ids, distributed(c.distribution))
			n.balance(ids, distributed(c.distribution), udp)
			reached := func(clients int, ports uint16, protocols ...hnslb.Protocol) int {
				seen := map[netip.Addr]bool{}
				for i := range clients {
					for port := range ports {
						for _, p := range protocols {
							v := n.Trace(emulator.Packet{
								From: emulator.Outside(scaleIP(203, i)), FromPort: port, To: addrPort("10.96.0.10:80"), Protocol: p,
							})
							seen[v.Backend.Addr()] = true
						}
					}
				}
				return len(seen)
			}
			if got := reached(100, 1, hnslb.TCP); got != 3 {
				t.Errorf("100 clients reach %d backends, want 3", got)
			}
			if got := reached(1, 100, hnslb.TCP); got > 1 != c.byPort {
				t.Errorf("100 ports of one client reach %d backends", got)
			}
			differ := false
			for i := range 20 {
				one := func(p hnslb.Protocol) netip.Addr {
					return n.Trace(emulator.Packet{From: emulator.Outside(scaleIP(203, i)), To: addrPort("10.96.0.10:80"), Protocol: p}).Backend.Addr()
				}
				differ = differ || one(hnslb.TCP) != one(hnslb.UDP)
			}
			if differ != c.byProtocol {
				t.Errorf("the protocol makes a difference: %v, want %v", differ, c.byProtocol)
			}
			packet := emulator.Packet{From: emulator.Outside(ip("203.0.113.9")), To: addrPort("10.96.0.10:80"), Protocol: hnslb.TCP}
			if got := n.Reachable(packet); len(got) != 3 {
				t.Errorf("reachable are %v, want 3 backends", got)
			}
		})
	}
}
