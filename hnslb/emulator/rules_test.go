// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

const unknownID hnslb.ID = "00000000-0000-4000-8000-0000000000ff"

func TestEndpointRules(t *testing.T) {
	ws2022 := profiles.WS2022()
	strict := profiles.WS2022()
	strict.Quirks.LocalRefusedByRemote = true
	for _, c := range []struct {
		name    string
		profile profiles.Profile
		change  func(n *node, ep *hnslb.Endpoint)
		code    hnslb.HRESULT
	}{
		{"remote", ws2022, func(*node, *hnslb.Endpoint) {}, 0},
		{"remote outside every subnet", ws2022, func(_ *node, ep *hnslb.Endpoint) { ep.IPs = addrs([]string{"203.0.113.9"}) }, 0},
		{"unknown network", ws2022, func(_ *node, ep *hnslb.Endpoint) { ep.Network = unknownID }, hnslb.ResultElementNotFound},
		{"network ID in upper case", ws2022, func(n *node, ep *hnslb.Endpoint) {
			ep.Network = upper(n.net.ID)
		}, 0},
		{"local in the subnet", ws2022, local("10.244.1.9"), 0},
		{"local outside the subnets", ws2022, local("10.244.2.9"), hnslb.ResultAddressReserved},
		{"local network address", ws2022, local("10.244.1.0"), hnslb.ResultAddressReserved},
		{"local gateway", ws2022, local("10.244.1.1"), hnslb.ResultAddressReserved},
		{"local broadcast", ws2022, local("10.244.1.255"), hnslb.ResultAddressReserved},
		{"local IPv6 has no broadcast", ws2022, local("fd00:1::ffff:ffff:ffff:ffff"), 0},
		{"local host endpoint", ws2022, local("10.0.0.5"), 0},
		{"local twice", ws2022, local("10.244.1.5"), hnslb.ResultObjectExists},
		{"remote twice", ws2022, func(_ *node, ep *hnslb.Endpoint) { ep.IPs = addrs([]string{"10.244.2.5"}) }, hnslb.ResultObjectExists},
		{"remote over local", ws2022, func(_ *node, ep *hnslb.Endpoint) { ep.IPs = addrs([]string{"10.244.1.5"}) }, 0},
		{"local over remote", ws2022, local("10.244.1.6"), 0},
		{"local over remote, strict", strict, local("10.244.1.6"), hnslb.ResultAddressReserved},
		{"dual stack", ws2022, local("10.244.1.9", "fd00:1::9"), 0},
		{"two of one family", ws2022, local("10.244.1.9", "10.244.1.10"), hnslb.ResultInvalidIP},
		{"three", ws2022, local("10.244.1.9", "fd00:1::9", "10.244.1.10"), hnslb.ResultInvalidIP},
		{"remote without address", ws2022, func(_ *node, ep *hnslb.Endpoint) { ep.IPs = nil }, hnslb.ResultInvalidIP},
		{"invalid address", ws2022, func(_ *node, ep *hnslb.Endpoint) { ep.IPs = []netip.Addr{{}} }, hnslb.ResultInvalidIP},
		{"unspecified address", ws2022, func(_ *node, ep *hnslb.Endpoint) { ep.IPs = addrs([]string{"0.0.0.0"}) }, hnslb.ResultInvalidIP},
		{"mapped address", ws2022, func(_ *node, ep *hnslb.Endpoint) { ep.IPs = addrs([]string{"::ffff:10.0.0.1"}) }, hnslb.ResultInvalidIP},
		{"address with zone", ws2022, func(_ *node, ep *hnslb.Endpoint) { ep.IPs = addrs([]string{"fe80::1%eth0"}) }, hnslb.ResultInvalidIP},
		{"bad MAC", ws2022, func(_ *node, ep *hnslb.Endpoint) { ep.MAC = "02.11.00.00.00.01" }, hnslb.ResultInvalidArgument},
		{"bad provider address", ws2022, func(_ *node, ep *hnslb.Endpoint) { ep.ProviderAddress = ip("fe80::1%x") }, hnslb.ResultInvalidIP},
		{"ID given", ws2022, func(_ *node, ep *hnslb.Endpoint) { ep.ID = unknownID }, hnslb.ResultInvalidArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, c.profile, "L2Bridge")
			n.local("10.244.1.5")
			n.remote("10.244.2.5")
			n.remote("10.244.1.6")
			ep := n.remoteEndpoint("10.244.2.9")
			c.change(n, &ep)
			before := n.Dump()
			_, err := n.CreateEndpoint(t.Context(), ep)
			wantCode(t, err, c.code)
			if changed := n.Dump() != before; changed == (c.code != 0) {
				t.Errorf("state changed: %v, want %v", changed, c.code == 0)
			}
		})
	}
}

func local(ips ...string) func(*node, *hnslb.Endpoint) {
	return func(_ *node, ep *hnslb.Endpoint) { ep.Remote, ep.IPs = false, addrs(ips) }
}

func upper(id hnslb.ID) hnslb.ID {
	b := []byte(id)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return hnslb.ID(b)
}

func TestEndpointGetsAddressAndMAC(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	n.local("10.244.1.2")
	ep, err := n.CreateEndpoint(t.Context(), hnslb.Endpoint{Network: n.net.ID, Name: "named only"})
	n.must(err)
	if want := ip("10.244.1.3"); ep.IPs[0] != want || ep.MAC != "0E-2A-0A-F4-01-03" {
		t.Errorf("HNS chose %v and MAC %s, want %s and a MAC of it", ep.IPs, ep.MAC, want)
	}
	ep, err = n.CreateEndpoint(t.Context(), hnslb.Endpoint{
		Network: n.net.ID, Remote: true, IPs: addrs([]string{"10.244.2.9"}), MAC: "02-11-0a-f4-02-09",
	})
	n.must(err)
	if ep.MAC != "02-11-0A-F4-02-09" {
		t.Errorf("MAC %s, want it in upper case", ep.MAC)
	}
	ep, err = n.CreateEndpoint(t.Context(), hnslb.Endpoint{
		Network: n.net.ID, Remote: true, IPs: addrs([]string{"10.244.2.10"}), MAC: "00:15:5d:00:00:05",
	})
	n.must(err)
	if ep.MAC != "00-15-5D-00-00-05" {
		t.Errorf("MAC %s, want it with dashes", ep.MAC)
	}
}

func TestLoadBalancerRules(t *testing.T) {
	ws2019, ws2022 := profiles.WS2019(), profiles.WS2022()
	with := func(o ...option) []option { return o }
	for _, c := range []struct {
		name    string
		profile profiles.Profile
		opts    []option
		code    hnslb.HRESULT
	}{
		{"plain", ws2022, nil, 0},
		{"no endpoint", ws2022, with(endpoints()), hnslb.ResultInvalidJSONReference},
		{"unknown endpoint", ws2022, with(endpoints(unknownID)), hnslb.ResultEndpointNotFound},
		{"unknown endpoint, Server 2019", ws2019, with(endpoints(unknownID)), hnslb.ResultInvalidJSONReference},
		{"65 endpoints, Server 2019", ws2019, with(repeated(65)), hnslb.ResultInvalidArgument},
		{"64 endpoints, Server 2019", ws2019, with(repeated(64)), 0},
		{"1024 endpoints", ws2022, with(repeated(1024)), 0},
		{"1025 endpoints", ws2022, with(repeated(1025)), hnslb.ResultInvalidArgument},
		{"same frontend", ws2022, with(vips("10.96.0.1")), hnslb.ResultPortAlreadyExists},
		{"same frontend among several", ws2022, with(vips("10.96.0.9", "10.96.0.1")), hnslb.ResultPortAlreadyExists},
		{"same frontend twice in itself", ws2022, with(vips("10.96.0.9", "10.96.0.9")), hnslb.ResultPortAlreadyExists},
		{"same VIP, other port", ws2022, with(vips("10.96.0.1"), external(81)), 0},
		{"same VIP, other protocol", ws2022, with(vips("10.96.0.1"), udp), 0},
		{"same node port", ws2022, with(nodePort, external(30080)), hnslb.ResultPortAlreadyExists},
		{"same node port, other family", ws2022, with(nodePort, external(30080), ipv6), 0},
		{"node port as VIP of the node", ws2022, with(vips("10.0.0.5"), external(30080)), hnslb.ResultPortAlreadyExists},
		{"node's VIP as node port", ws2022, with(nodePort, external(30081)), hnslb.ResultPortAlreadyExists},
		{"listener on a node port", ws2022, with(nodePort, external(10256)), hnslb.ResultPortAlreadyExists},
		{"listener on a node port, UDP", ws2022, with(nodePort, external(10256), udp), 0},
		{"listener and a VIP", ws2022, with(external(10256)), 0},
		{"listener and a VIP, Server 2019", ws2019, with(external(10256)), hnslb.ResultPortAlreadyExists},
		{"listener and a VIP with DSR, Server 2019", ws2019, with(external(10256), dsr), 0},
		{"no mapping", ws2022, with(func(lb *hnslb.LoadBalancer) { lb.Mappings = nil }), hnslb.ResultInvalidArgument},
		{"internal port 0", ws2022, with(internal(0)), hnslb.ResultInvalidInternalPort},
		{"external port 0", ws2022, with(external(0)), hnslb.ResultInvalidArgument},
		{"SCTP", ws2022, with(func(lb *hnslb.LoadBalancer) { lb.Mappings[0].Protocol = hnslb.SCTP }), hnslb.ResultInvalidArgument},
		{"empty VIP", ws2022, with(func(lb *hnslb.LoadBalancer) { lb.VIPs = []netip.Addr{{}} }), hnslb.ResultInvalidIP},
		{"VIP of zeroes", ws2022, with(vips("0.0.0.0")), hnslb.ResultInvalidIP},
		{"source VIP outside the network", ws2022, with(source("203.0.113.1")), 0},
		{"source VIP with zone", ws2022, with(source("fe80::1%x")), hnslb.ResultInvalidIP},
		{"two VIPs", ws2022, with(vips("10.96.0.8", "10.96.0.9")), 0},
		{"ID given", ws2022, with(func(lb *hnslb.LoadBalancer) { lb.ID = unknownID }), hnslb.ResultInvalidArgument},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, c.profile, "L2Bridge")
			pod := n.local("10.244.1.5")
			n.balance([]hnslb.ID{pod}, vips("10.96.0.1"))
			n.balance([]hnslb.ID{pod}, nodePort, external(30080))
			n.balance([]hnslb.ID{pod}, vips("10.0.0.5"), external(30081))
			n.Reserve(10256, hnslb.TCP)
			before := n.Dump()
			_, err := n.CreateLoadBalancer(t.Context(), balancerOf([]hnslb.ID{pod}, c.opts...))
			wantCode(t, err, c.code)
			if changed := n.Dump() != before; changed == (c.code != 0) {
				t.Errorf("state changed: %v, want %v", changed, c.code == 0)
			}
		})
	}
}

func endpoints(ids ...hnslb.ID) option {
	return func(lb *hnslb.LoadBalancer) { lb.Endpoints = ids }
}

// repeated names the first endpoint n times.
func repeated(n int) option {
	return func(lb *hnslb.LoadBalancer) {
		first := lb.Endpoints[0]
		lb.Endpoints = nil
		for range n {
			lb.Endpoints = append(lb.Endpoints, first)
		}
	}
}

func TestLoadBalancerNetworkRules(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	_, err := n.AddNetwork(emulator.NetworkSpec{Name: "nat", Type: "NAT"})
	n.must(err)
	nat, err := n.AddLocalEndpoint("nat", ip("172.16.0.5"))
	n.must(err)
	pod := n.local("10.244.1.5")
	const vfpNotAllowed hnslb.HRESULT = 0x803b0037
	_, err = n.CreateLoadBalancer(t.Context(), balancerOf([]hnslb.ID{nat.ID}))
	wantCode(t, err, vfpNotAllowed)
	_, err = n.CreateLoadBalancer(t.Context(), balancerOf([]hnslb.ID{pod, nat.ID}))
	wantCode(t, err, hnslb.ResultInvalidArgument)

	n.must(n.SetAttached(ip("10.244.1.5"), false))
	_, err = n.CreateLoadBalancer(t.Context(), balancerOf([]hnslb.ID{pod}))
	wantCode(t, err, hnslb.ResultSwitchPortNotFound)
	n.must(n.SetAttached(ip("10.244.1.5"), true))
	n.balance([]hnslb.ID{pod})
}

// TestChosenIDs: other programs may choose an ID, but not one that is live.
func TestChosenIDs(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	ep := n.remoteEndpoint("10.244.2.7")
	ep.ID = upper(unknownID)
	made, err := n.AddForeignEndpoint("Calico", ep)
	n.must(err)
	if made.ID != unknownID {
		t.Errorf("the endpoint got ID %s, want %s", made.ID, unknownID)
	}
	ep.IPs = addrs([]string{"10.244.2.8"})
	if _, err := n.AddForeignEndpoint("Calico", ep); err == nil {
		t.Error("a second endpoint took the ID")
	}
	lb := balancerOf([]hnslb.ID{unknownID})
	lb.ID = unknownID
	if _, err := n.AddForeignLoadBalancer(lb); err == nil {
		t.Error("a load balancer took the ID of an endpoint")
	}
	lb.ID = ""
	_, err = n.AddForeignLoadBalancer(lb)
	n.must(err)
	if _, err := n.AddForeignLoadBalancer(lb); err == nil {
		t.Error("a second load balancer took the frontend")
	}
	lb.VIPs = []netip.Addr{{}}
	if _, err := n.AddForeignLoadBalancer(lb); err == nil {
		t.Error("a load balancer was made on an empty VIP")
	}
}

func TestNetworkRules(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	if _, err := n.AddNetwork(spec("L2Bridge")); err == nil {
		t.Error("a second network took the name")
	}
	n.SetFaults(profiles.Faults{NoAdapter: true})
	if _, err := n.AddNetwork(emulator.NetworkSpec{Name: "vxlan0", Type: "Overlay"}); err == nil {
		t.Error("an overlay network was made without an adapter")
	}
	n.SetFaults(profiles.Faults{})
	for name, s := range map[string]emulator.NetworkSpec{
		"no name":             {},
		"bad host MAC":        {Name: "x", HostMAC: "nonsense"},
		"bad subnet":          {Name: "x", Subnets: []netip.Prefix{{}}},
		"bad provider":        {Name: "x", Remotes: []hnslb.RemoteSubnet{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}}},
		"management IP zeros": {Name: "x", ManagementIP: ip("0.0.0.0")},
	} {
		if _, err := n.AddNetwork(s); err == nil {
			t.Errorf("%s: the network was made", name)
		}
	}
}

func TestPortBlocksRunOut(t *testing.T) {
	n := newNode(t, profiles.WS2019(), "L2Bridge")
	pods := []hnslb.ID{n.local("10.244.1.5")}
	var last hnslb.LoadBalancer
	for i := range uint16(256) {
		last = n.balance(pods, external(1000+i))
	}
	_, err := n.CreateLoadBalancer(t.Context(), balancerOf(pods, external(2000)))
	wantCode(t, err, hnslb.ResultPortAlreadyExists)
	n.balance(pods, external(2000), udp) // a pool of its own
	n.balance(pods, external(2001), dsr) // takes none
	n.must(n.DeleteLoadBalancer(t.Context(), last.ID))
	n.balance(pods, external(2000))

	shared := newNode(t, profiles.WS2022(), "L2Bridge")
	pods = []hnslb.ID{shared.local("10.244.1.5")}
	for i := range uint16(300) {
		shared.balance(pods, external(1000+i))
	}
}

func TestModifyRules(t *testing.T) {
	for _, profile := range profiles.All() {
		t.Run(profile.Name, func(t *testing.T) {
			n := newNode(t, profile, "L2Bridge")
			a, b := n.local("10.244.1.5"), n.local("10.244.1.6")
			lb := n.balance([]hnslb.ID{a})
			had := n.Dump()
			lb.Endpoints = []hnslb.ID{b}
			got, err := n.UpdateLoadBalancer(t.Context(), lb)
			switch {
			case profile.Version.Major < 15:
				wantCode(t, err, hnslb.ResultNotImplemented)
				return
			case profile.Quirks.ModifyLies:
				n.must(err)
				if n.Dump() != had || got.Endpoints[0] != a {
					t.Errorf("HNS 15.4 changed something: %v, %s", got, n.Dump())
				}
				return
			}
			n.must(err)
			if got.Endpoints[0] != b {
				t.Errorf("endpoints %v, want %v", got.Endpoints, b)
			}
			for name, change := range map[string]option{
				"VIP":           vips("10.96.0.99"),
				"external port": external(81),
				"protocol":      udp,
				"flags":         dsr,
				"mapping flags": mapped(hnslb.VIPExternal),
				"distribution":  distributed(hnslb.SourceIP),
			} {
				other := balancerOf([]hnslb.ID{a}, change)
				other.ID = lb.ID
				_, err := n.UpdateLoadBalancer(t.Context(), other)
				if hnslb.ErrorClass(err) != hnslb.Invalid {
					t.Errorf("modify of the %s: %v, want a refusal", name, err)
				}
			}
		})
	}
}

// TestModifyIgnores: a modify may say yes and keep what is no endpoint.
func TestModifyIgnores(t *testing.T) {
	for _, tc := range []struct {
		name   string
		quirks profiles.Quirks
		change option
		kept   bool
	}{
		{"port", profiles.Quirks{}, internal(9090), false},
		{"port ignored", profiles.Quirks{ModifyIgnoresPort: true}, internal(9090), true},
		{"source VIP", profiles.Quirks{}, source("10.0.0.5"), false},
		{"source VIP ignored", profiles.Quirks{ModifyIgnoresSourceVIP: true}, source("10.0.0.5"), true},
		{"flags ignored", profiles.Quirks{ModifyIgnoresFlags: true}, dsr, true},
		{"mapping flags ignored", profiles.Quirks{ModifyIgnoresFlags: true}, mapped(hnslb.VIPExternal), true},
		{"distribution ignored", profiles.Quirks{ModifyIgnoresFlags: true}, distributed(hnslb.SourceIP), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			profile := profiles.WS2025()
			profile.Quirks = tc.quirks
			n := newNode(t, profile, "L2Bridge")
			a, b := n.local("10.244.1.5"), n.local("10.244.1.6")
			had := n.balance([]hnslb.ID{a})
			want := balancerOf([]hnslb.ID{b}, tc.change)
			want.ID = had.ID
			got, err := n.UpdateLoadBalancer(t.Context(), want)
			n.must(err)
			if tc.kept {
				want = balancerOf([]hnslb.ID{b})
				want.ID = had.ID
			}
			if w, g := fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", got); w != g {
				t.Errorf("load balancer\n%s, want\n%s", g, w)
			}
		})
	}
}

// TestEchoes: HNS may show other flags than it was asked for, and goes on with those.
func TestEchoes(t *testing.T) {
	profile := profiles.WS2025()
	profile.Quirks.EchoAdds, profile.Quirks.EchoAddsFlags, profile.Quirks.EchoHides = hnslb.ILB|64, 8, hnslb.VIPExternal
	n := newNode(t, profile, "L2Bridge")
	pod, other := n.local("10.244.1.5"), n.local("10.244.1.6")
	check := func(what string, lb hnslb.LoadBalancer) {
		t.Helper()
		if want := hnslb.ILB | 64 | hnslb.LocalRoutedVIP; lb.Flags != hnslb.DSR|8 || lb.Mappings[0].Flags != want {
			t.Errorf("%s shows flags %d and %d, want %d and %d", what, lb.Flags, lb.Mappings[0].Flags, hnslb.DSR|8, want)
		}
	}
	made := n.balance([]hnslb.ID{pod}, nodePort, dsr, mapped(hnslb.LocalRoutedVIP|hnslb.VIPExternal))
	check("create", made)
	change := balancerOf([]hnslb.ID{other}, nodePort, dsr, mapped(hnslb.LocalRoutedVIP|hnslb.VIPExternal))
	change.ID = made.ID
	changed, err := n.UpdateLoadBalancer(t.Context(), change)
	n.must(err)
	check("modify", changed)
	lbs, err := n.LoadBalancers(t.Context())
	n.must(err)
	check("list", lbs[0])
	n.must(n.Look(t.Context(), hnslb.VerbLoadBalancers, func(o emulator.Objects) {
		check("enumerate", o.LoadBalancers()[0].LoadBalancer)
		lb, _ := o.LoadBalancer(made.ID)
		check("open", lb.LoadBalancer)
	}))
	if held := n.State().LoadBalancers[0]; held.Flags != hnslb.DSR || held.Mappings[0].Flags != hnslb.LocalRoutedVIP|hnslb.VIPExternal {
		t.Errorf("HNS holds flags %d and %d, want what it was asked for", held.Flags, held.Mappings[0].Flags)
	}
}

// TestUnknownFields: HNS before 12.0 has no distribution and drops it.
func TestUnknownFields(t *testing.T) {
	for _, profile := range profiles.All() {
		n := newNode(t, profile, "L2Bridge")
		lb := n.balance([]hnslb.ID{n.local("10.244.1.5")}, distributed(hnslb.SourceIP))
		want := hnslb.SourceIP
		if profile.Name == "ws2019" {
			want = hnslb.FiveTuple
		}
		if got := lb.Mappings[0].Distribution; got != want {
			t.Errorf("%s holds distribution %d, want %d", profile.Name, got, want)
		}
	}
}

func TestNetworkGone(t *testing.T) {
	profile := profiles.WS2019()
	profile.Quirks.OrphanDeleteFails = true
	for _, p := range []profiles.Profile{profiles.WS2019(), profile} {
		n := newNode(t, p, "L2Bridge")
		lb := n.balance([]hnslb.ID{n.local("10.244.1.5")})
		n.must(n.DeleteNetwork("Calico"))
		n.wantDump("loadbalancer 10.96.0.10 80/TCP>8080 network-gone backends=dangling")
		err := n.DeleteLoadBalancer(t.Context(), lb.ID)
		if p.Quirks.OrphanDeleteFails {
			wantCode(t, err, hnslb.ResultNetworkNotFound)
		} else {
			n.must(err)
			n.wantDump()
		}
	}
}

func TestReplaceNetwork(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	n.local("10.244.1.5")
	again, err := n.ReplaceNetwork("Calico")
	n.must(err)
	now, err := n.Network(t.Context(), "Calico")
	n.must(err)
	if again.ID == n.net.ID || now.ID != again.ID || now.ManagementIP != n.net.ManagementIP {
		t.Errorf("network is %+v after it was replaced, was %+v", now, n.net)
	}
	eps, err := n.Endpoints(t.Context())
	n.must(err)
	if len(eps) != 0 {
		t.Errorf("endpoints %v outlived their network", eps)
	}
}

func TestProfileByName(t *testing.T) {
	for _, want := range profiles.All() {
		if got, err := profiles.ByName(want.Name); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ProfileByName(%q) = %v, %v", want.Name, got, err)
		}
	}
	if _, err := profiles.ByName("ws2016"); err == nil {
		t.Error("no error for an unknown profile")
	}
	if e := emulator.New(emulator.Config{}); e.Profile().Name != "ws2022" {
		t.Errorf("the default profile is %s", e.Profile().Name)
	}
}

// TestErrorText compares with what logs show: k8s issue 100962, Windows-Containers issue
// 103, and issue 98680 for the last.
func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		code         hnslb.HRESULT
		detail, want string
	}{
		{hnslb.ResultAddressReserved, "", "An address provided is invalid or reserved. "},
		{hnslb.ResultPortAlreadyExists, "", "The specified port already exists. "},
		{
			hnslb.ResultInvalidJSONReference, "A Reference is required",
			"The reference is invalid in the JSON document. A Reference is required",
		},
		{
			hnslb.ResultInvalidArgument, "Unable to initialize VFP LB rule: invalid number of destinations.",
			"The parameter is incorrect. Unable to initialize VFP LB rule: invalid number of destinations.",
		},
		{hnslb.ResultServiceNotActive, "", "The service has not been started. "},
		{hnslb.ResultUnknownInterface, "", "The interface is unknown. "},
		{hnslb.ResultAccessDenied, "", "Access is denied. "},
		{0x12345678, "", "Unknown error 0x12345678. "},
	} {
		if got := emulator.ErrorText(c.code, c.detail); got != c.want {
			t.Errorf("text of 0x%08x is %q, want %q", uint32(c.code), got, c.want)
		}
	}
}
