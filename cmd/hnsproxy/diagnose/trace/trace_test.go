// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/snapshot"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"pgregory.net/rapid"
)

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

const mac = "00-15-5D-00-00-05"

// take lists an emulated HNS through its driver, as a real one is listed, and writes and reads
// the list.
func take(t interface{ Fatal(args ...any) }, e *emulator.Emulator) snapshot.Snapshot {
	s, err := snapshot.Take(context.Background(), e, func(context.Context) ([]string, error) {
		var names []string
		for _, n := range e.State().Networks {
			names = append(names, n.Name)
		}
		return names, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	body, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if s, err = snapshot.Read(body); err != nil {
		t.Fatal(err)
	}
	return s
}

func addresses(texts ...string) []netip.Addr {
	out := make([]netip.Addr, 0, len(texts))
	for _, s := range texts {
		out = append(out, ip(s))
	}
	return out
}

// pools of addresses, small so that things meet.
func localIPs() []netip.Addr {
	return addresses("10.244.1.5", "10.244.1.6", "10.244.1.7", "fd00:1::5")
}
func remoteIPs() []netip.Addr {
	return addresses("10.244.2.7", "10.244.2.8", "10.244.1.6", "fd00:2::7")
}
func vips() []netip.Addr {
	return addresses("10.96.0.10", "10.96.0.11", "203.0.113.3", "10.0.0.5", "fd00:96::10")
}

// aNode is any node whose HNS was filled by calls of the driver, and then changed behind its back.
func aNode(t *rapid.T, loopback bool) *emulator.Emulator {
	overlay := rapid.Bool().Draw(t, "overlay")
	profile := rapid.SampledFrom(profiles.All()).Draw(t, "profile")
	profile.Timings = nil
	e := emulator.New(emulator.Config{Profile: profile})
	spec := emulator.NetworkSpec{
		Name: "Calico", ManagementIP: ip("10.0.0.5"), HostMAC: mac, ManagementIPv6: ip("fd00:10::5"), LoopbackDSR: loopback,
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:1::/64")},
		Remotes: []hnslb.RemoteSubnet{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: ip("10.0.0.6")}},
	}
	if overlay {
		spec.Type = hnslb.NetworkOverlay
	}
	if _, err := e.AddNetwork(spec); err != nil {
		t.Fatal(err)
	}
	if err := e.SetAdapters("Calico", []hnslb.Adapter{{IP: ip("fd00:10::5"), MAC: mac}, {IP: ip("10.9.9.9"), MAC: "00-15-5D-00-00-99"}}); err != nil {
		t.Fatal(err)
	}
	fill(t, e)
	for _, ep := range e.State().Endpoints {
		if rapid.IntRange(0, 9).Draw(t, "vanishes") == 0 {
			_ = e.DeleteBehind(ep.ID)
		}
	}
	return e
}

// fill makes endpoints and load balancers; what HNS refuses is not there.
func fill(t *rapid.T, e *emulator.Emulator) {
	for _, a := range rapid.SliceOfDistinct(rapid.SampledFrom(localIPs()), rapid.ID[netip.Addr]).Draw(t, "local") {
		_, _ = e.AddLocalEndpoint("Calico", a)
	}
	network := e.State().Networks[0].ID
	for _, a := range rapid.SliceOfDistinct(rapid.SampledFrom(append(remoteIPs(), vips()...)), rapid.ID[netip.Addr]).Draw(t, "remote") {
		provider := rapid.SampledFrom([]netip.Addr{ip("10.0.0.6"), ip("10.0.0.7"), {}}).Draw(t, "provider")
		m := rapid.SampledFrom([]string{hnslb.RemoteMAC(a), mac}).Draw(t, "mac")
		_, _ = e.AddForeignEndpoint("Calico", hnslb.Endpoint{Network: network, IPs: []netip.Addr{a}, MAC: m, Remote: true, ProviderAddress: provider})
	}
	eps := e.State().Endpoints
	if len(eps) == 0 {
		return
	}
	for range rapid.IntRange(1, 8).Draw(t, "load balancers") {
		var lb hnslb.LoadBalancer
		for _, ep := range rapid.SliceOfNDistinct(rapid.SampledFrom(eps), 1, 3, func(e emulator.EndpointState) hnslb.ID { return e.ID }).Draw(t, "backends") {
			lb.Endpoints = append(lb.Endpoints, ep.ID)
		}
		if rapid.IntRange(0, 3).Draw(t, "has VIP") > 0 {
			lb.VIPs = []netip.Addr{rapid.SampledFrom(vips()).Draw(t, "vip")}
		}
		lb.SourceVIP = rapid.SampledFrom([]netip.Addr{{}, ip("10.244.1.7"), ip("10.0.0.5"), ip("10.244.1.200")}).Draw(t, "source VIP")
		lb.Flags = hnslb.LoadBalancerFlags(rapid.IntRange(0, 3).Draw(t, "flags"))
		lb.Mappings = []hnslb.PortMapping{{
			Protocol: protocols().Draw(t, "protocol"), ExternalPort: ports().Draw(t, "port"), InternalPort: 8080,
			Flags:        hnslb.MappingFlags(rapid.IntRange(0, 15).Draw(t, "mapping flags") << 1),
			Distribution: hnslb.Distribution(rapid.IntRange(0, 2).Draw(t, "distribution")),
		}}
		if _, err := e.CreateLoadBalancer(context.Background(), lb); err != nil && rapid.Bool().Draw(t, "foreign") {
			_, _ = e.AddForeignLoadBalancer(lb)
		}
	}
}

func protocols() *rapid.Generator[hnslb.Protocol] {
	return rapid.SampledFrom([]hnslb.Protocol{hnslb.TCP, hnslb.UDP})
}

func ports() *rapid.Generator[uint16] { return rapid.SampledFrom([]uint16{80, 443, 30080}) }

// aPacket is from anywhere to anywhere.
func aPacket(t *rapid.T) emulator.Packet {
	a := rapid.SampledFrom(slices.Concat(localIPs(), remoteIPs(), addresses("203.0.113.9", "2001:db8::9"))).Draw(t, "from")
	return emulator.Packet{
		From:     rapid.SampledFrom([]emulator.Source{emulator.LocalPod(a), emulator.Outside(a), emulator.Host()}).Draw(t, "source"),
		FromPort: rapid.Uint16().Draw(t, "from port"),
		To: netip.AddrPortFrom(rapid.SampledFrom(slices.Concat(vips(), localIPs(), remoteIPs())).Draw(t, "to"),
			ports().Draw(t, "port")),
		Protocol: protocols().Draw(t, "protocol"),
	}
}

// TestEqualsEmulator: what is read through the driver, and by way of a file, says of 10,000
// packets what the emulator says that holds it.
func TestEqualsEmulator(t *testing.T) {
	t.Parallel()
	const packetsPerNode, atLeast = 200, 10_000
	packets, arrived := 0, 0
	types := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		loopback := rapid.Bool().Draw(t, "loopback DSR")
		e := aNode(t, loopback)
		listener := emulator.HostPort{Protocol: hnslb.TCP, Port: 443}
		e.Reserve(listener.Port, listener.Protocol)
		n := New(take(t, e), Host{LoopbackDSR: loopback, Listeners: []emulator.HostPort{listener}})
		if len(n.Notes) > 0 {
			t.Fatalf("left out: %q", n.Notes)
		}
		for range packetsPerNode {
			p := aPacket(t)
			packets++
			types[n.snapshot.Networks[0].Type]++
			if want, got := e.Trace(p), n.model.Trace(p); got != want {
				t.Fatalf("%v to %v: %v, want %v\n%s", p.From, p.To, got, want, e.Dump())
			} else if got.Reached() {
				arrived++
			}
			want, r := e.TraceAll(p), n.Follow(p)
			if len(r.Outcomes) != len(want) {
				t.Fatalf("%v to %v: %v, want %v\n%s", p.From, p.To, r.Outcomes, want, e.Dump())
			}
			for i, v := range want {
				if o := r.Outcomes[i]; v.Reached() && (o.Backend != v.Backend.String() || o.SourceIP != v.SourceIP.String()) ||
					!v.Reached() && o.Lost != v.Reason {
					t.Fatalf("%v to %v: %v, want %v", p.From, p.To, o, v)
				}
			}
		}
	})
	t.Logf("%d packets %v, %d arrived", packets, types, arrived)
	if packets < atLeast || arrived < packets/100 || len(types) != 2 {
		t.Errorf("%d packets on networks of the types %v, of which %d arrived; want at least %d on both types", packets, types, arrived, atLeast)
	}
}

// TestSections: each rule that is named is a section of docs/hns.md.
func TestSections(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("../../../../docs/hns.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		n := New(take(t, aNode(t, false)), Host{})
		for range 200 {
			for _, o := range n.Follow(aPacket(t)).Outcomes {
				if seen[o.Rule] = true; !strings.Contains(string(body), "\n## "+o.Rule+"\n") && !strings.Contains(string(body), "\n### "+o.Rule+"\n") {
					t.Fatalf("docs/hns.md has no section %q, of %+v", o.Rule, o)
				}
			}
		}
	})
	if len(seen) < 6 {
		t.Errorf("met the rules %v only", seen)
	}
}

// TestContradictions: what cannot be is left out and said.
func TestContradictions(t *testing.T) {
	t.Parallel()
	s := snapshot.Snapshot{
		Version:  hnslb.Version{Major: 13, Minor: 2},
		Networks: []hnslb.Network{{ID: "n", Name: "Calico", Type: "L2Bridge", ManagementIP: ip("10.0.0.5"), HostMAC: mac}},
		Endpoints: []hnslb.Endpoint{{ID: "a", Network: "n", IPs: addresses("10.244.1.5"), MAC: mac},
			{ID: "b", Network: "gone", IPs: addresses("10.244.1.6"), MAC: mac}},
		LoadBalancers: []hnslb.LoadBalancer{
			{ID: "x", Endpoints: []hnslb.ID{"a"}, VIPs: addresses("10.96.0.10"), Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, ExternalPort: 80, InternalPort: 8080}}, Flags: hnslb.DSR},
			{ID: "y", Endpoints: []hnslb.ID{"a"}, VIPs: addresses("10.96.0.10"), Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, ExternalPort: 80, InternalPort: 8080}}},
			{ID: "z", Endpoints: []hnslb.ID{"a"}, VIPs: addresses("10.96.0.11"), Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, ExternalPort: 80, InternalPort: 8080}}, Degraded: true},
		},
	}
	n := New(s, Host{})
	if len(n.Notes) != 2 || !strings.Contains(n.Notes[0], "10.244.1.6") || !strings.Contains(n.Notes[1], "10.96.0.10:80/TCP is taken") {
		t.Errorf("notes %q", n.Notes)
	}
	for to, want := range map[string]string{"10.96.0.10:80": "10.244.1.5:8080", "10.96.0.11:80": ""} {
		r := n.Follow(emulator.Packet{From: emulator.Outside(ip("203.0.113.9")), To: netip.MustParseAddrPort(to), Protocol: hnslb.TCP})
		if r.Outcomes[0].Backend != want || r.Lost() != (want == "") {
			t.Errorf("to %s: %+v", to, r)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	n := New(snapshot.Snapshot{
		Networks:  []hnslb.Network{{ID: "n", Name: "Calico", Type: "L2Bridge", ManagementIP: ip("10.0.0.5")}},
		Endpoints: []hnslb.Endpoint{{ID: "a", Network: "n", IPs: addresses("10.244.1.5"), MAC: mac}},
	}, Host{})
	for text, want := range map[string]string{
		"host": "host", "10.0.0.5": "host", "10.244.1.5": "pod 10.244.1.5", "10.244.1.6": "outside 10.244.1.6", "fd00::1": "outside fd00::1",
		"outside:10.244.1.5": "outside 10.244.1.5", "pod:10.244.1.9": "pod 10.244.1.9", "web": "", "": "", "10.0.0.5:80": "",
	} {
		from, err := n.ParseFrom(text)
		if (err == nil) != (want != "") || err == nil && from.String() != want {
			t.Errorf("%q is %v (%v), want %q", text, from, err, want)
		}
	}
	for text, want := range map[string]string{
		"10.96.0.1:443": "10.96.0.1:443 TCP", "10.96.0.10:53/udp": "10.96.0.10:53 UDP", "[fd00::1]:80": "[fd00::1]:80 TCP",
		"10.96.0.1": "", "web:80": "", "10.96.0.1:80/tls": "", "10.96.0.1:70000": "",
	} {
		to, protocol, err := ParseTo(text)
		if (err == nil) != (want != "") || err == nil && to.String()+" "+protocol.String() != want {
			t.Errorf("%q is %v %v (%v), want %q", text, to, protocol, err, want)
		}
	}
	for text, ok := range map[string]bool{"443": true, "53/udp": true, "0": false, "x": false, "1/x": false} {
		if _, err := ParseListener(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
