// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/observed"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// web is the frontend of these tests.
func web() hnslb.FrontendKey {
	return hnslb.FrontendKey{Family: hnslb.IPv4, VIP: netip.MustParseAddr("10.96.0.5"), Protocol: hnslb.TCP, Port: 80}
}

// wanted makes a frontend from backends such as "10.244.2.1" or "10.244.1.1/local".
func wanted(backends ...string) *desired.Frontend {
	f := &desired.Frontend{Key: web(), Service: services.Name{Namespace: "default", Name: "web"}, InternalPort: 8080}
	for _, b := range backends {
		ip, kind, _ := strings.Cut(b, "/")
		f.Backends = append(f.Backends, desired.Backend{IP: netip.MustParseAddr(ip), Local: kind == "local"})
	}
	return f
}

func onUDP(f *desired.Frontend) *desired.Frontend {
	f.Key.Protocol = hnslb.UDP
	return f
}

func udp(lb *hnslb.LoadBalancer) { lb.Mappings[0].Protocol = hnslb.UDP }

// remote and local make HNS endpoints whose ID is their address.
func remote(ip string) hnslb.Endpoint {
	a := netip.MustParseAddr(ip)
	return hnslb.Endpoint{ID: hnslb.ID("r" + ip), Network: "n", IPs: []netip.Addr{a}, MAC: hnslb.RemoteMAC(a), Remote: true}
}

func local(ip string) hnslb.Endpoint {
	return hnslb.Endpoint{ID: hnslb.ID("l" + ip), Network: "n", IPs: []netip.Addr{netip.MustParseAddr(ip)}, MAC: "00-15-5D-00-00-01"}
}

func balancer(change func(*hnslb.LoadBalancer), endpoints ...hnslb.ID) hnslb.LoadBalancer {
	lb := wanted().LoadBalancer()
	lb.ID, lb.Endpoints = "lb", endpoints
	if change != nil {
		change(&lb)
	}
	return lb
}

// envOf is the environment of a node on L2Bridge, on the latest HNS.
func envOf(o desired.Options) *desired.Env {
	return desired.NewEnv(services.Node{Name: "this"}, hnslb.Network{ID: "n", Type: "L2Bridge"}, hnslb.FeaturesOf(hnslb.Version{Major: 15, Minor: 5}), o)
}

func input(want *desired.Frontend, eps []hnslb.Endpoint, lbs []hnslb.LoadBalancer) Input {
	network := hnslb.Network{ID: "n", Type: "L2Bridge"}
	in := Input{
		State: desired.NewState(), View: observed.New(netip.Addr{}), Modify: true,
		Env: envOf(desired.Options{}),
	}
	if want != nil {
		in.State.Set(want.Service, []*desired.Frontend{want})
	}
	in.View.SetNetwork(network)
	in.View.Replace(eps, lbs)
	return in
}

func lines(u Unit) string {
	var b strings.Builder
	for _, s := range u.Steps {
		b.WriteString(s.String() + "\n")
	}
	if u.Blocked.Reason != "" {
		b.WriteString("blocked " + string(u.Blocked.Reason) + "\n")
	}
	for _, list := range []struct {
		what string
		ips  []netip.Addr
	}{{"waiting", u.Waiting}, {"held", u.Unusable}, {"evict", u.Evict}} {
		if len(list.ips) > 0 {
			b.WriteString(list.what + " " + join(list.ips) + "\n")
		}
	}
	return b.String()
}

// TestFrontend holds what one frontend needs, in order (laws 8, 10, 12).
func TestFrontend(t *testing.T) {
	type hns struct {
		eps []hnslb.Endpoint
		lbs []hnslb.LoadBalancer
	}
	in := func(eps []hnslb.Endpoint, lbs ...hnslb.LoadBalancer) hns { return hns{eps, lbs} }
	eps := func(es ...hnslb.Endpoint) []hnslb.Endpoint { return es }
	for _, tc := range []struct {
		name     string
		want     *desired.Frontend
		hns      hns
		noModify bool
		options  desired.Options
		plan     string
	}{
		{name: "nothing there: endpoints, then the load balancer", want: wanted("10.244.2.1", "10.244.2.2"), hns: in(nil), plan: `
create endpoint 10.244.2.1 remote mac 02-11-0a-f4-02-01
create endpoint 10.244.2.2 remote mac 02-11-0a-f4-02-02
create loadbalancer 10.96.0.5:80/TCP port 8080 to 10.244.2.1,10.244.2.2
`},
		{name: "all as it should be", want: wanted("10.244.2.1"), hns: in(eps(remote("10.244.2.1")), balancer(nil, "r10.244.2.1"))},
		{name: "one backend more, changed in place", want: wanted("10.244.2.1", "10.244.2.2"),
			hns: in(eps(remote("10.244.2.1")), balancer(nil, "r10.244.2.1")), plan: `
create endpoint 10.244.2.2 remote mac 02-11-0a-f4-02-02
update loadbalancer 10.96.0.5:80/TCP port 8080 to 10.244.2.1,10.244.2.2
`},
		{name: "HNS without modify: delete and create stand together", noModify: true, want: wanted("10.244.2.1", "10.244.2.2"),
			hns: in(eps(remote("10.244.2.1")), balancer(nil, "r10.244.2.1")), plan: `
create endpoint 10.244.2.2 remote mac 02-11-0a-f4-02-02
delete loadbalancer 10.96.0.5:80/TCP
create loadbalancer 10.96.0.5:80/TCP port 8080 to 10.244.2.1,10.244.2.2
`},
		{name: "a UDP backend goes: made anew, or its clients stay with it", want: onUDP(wanted("10.244.2.1")),
			hns: in(eps(remote("10.244.2.1"), remote("10.244.2.2")), balancer(udp, "r10.244.2.1", "r10.244.2.2")), plan: `
delete loadbalancer 10.96.0.5:80/UDP
create loadbalancer 10.96.0.5:80/UDP port 8080 to 10.244.2.1
`},
		{name: "a UDP backend goes, in place as the operator asked for", options: desired.Options{UDPInPlace: true}, want: onUDP(wanted("10.244.2.1")),
			hns: in(eps(remote("10.244.2.1"), remote("10.244.2.2")), balancer(udp, "r10.244.2.1", "r10.244.2.2")), plan: `
update loadbalancer 10.96.0.5:80/UDP port 8080 to 10.244.2.1
`},
		{name: "a UDP backend is gone from HNS already", want: onUDP(wanted("10.244.2.1")),
			hns: in(eps(remote("10.244.2.1")), balancer(udp, "r10.244.2.1", "gone")), plan: `
delete loadbalancer 10.96.0.5:80/UDP
create loadbalancer 10.96.0.5:80/UDP port 8080 to 10.244.2.1
`},
		{name: "the target port of UDP changes: flows would stay on the old one", want: onUDP(wanted("10.244.2.1")),
			hns: in(eps(remote("10.244.2.1")), balancer(func(lb *hnslb.LoadBalancer) { udp(lb); lb.Mappings[0].InternalPort = 1 }, "r10.244.2.1")), plan: `
delete loadbalancer 10.96.0.5:80/UDP
create loadbalancer 10.96.0.5:80/UDP port 8080 to 10.244.2.1
`},
		{name: "a UDP backend comes: nobody is stranded", want: onUDP(wanted("10.244.2.1", "10.244.2.2")),
			hns: in(eps(remote("10.244.2.1"), remote("10.244.2.2")), balancer(udp, "r10.244.2.1")), plan: `
update loadbalancer 10.96.0.5:80/UDP port 8080 to 10.244.2.1,10.244.2.2
`},
		{name: "a flag cannot be changed in place", want: wanted("10.244.2.1"),
			hns: in(eps(remote("10.244.2.1")), balancer(func(lb *hnslb.LoadBalancer) { lb.Flags = hnslb.DSR }, "r10.244.2.1")), plan: `
delete loadbalancer 10.96.0.5:80/TCP
create loadbalancer 10.96.0.5:80/TCP port 8080 to 10.244.2.1
`},
		{name: "source VIP and internal port can", want: wanted("10.244.2.1"),
			hns: in(eps(remote("10.244.2.1")), balancer(func(lb *hnslb.LoadBalancer) {
				lb.SourceVIP, lb.Mappings[0].InternalPort = netip.MustParseAddr("10.0.0.1"), 1
			}, "r10.244.2.1")), plan: `
update loadbalancer 10.96.0.5:80/TCP port 8080 to 10.244.2.1
`},
		{name: "a backend of it is gone from HNS", want: wanted("10.244.2.1"), hns: in(eps(remote("10.244.2.1")), balancer(nil, "r10.244.2.1", "gone")), plan: `
update loadbalancer 10.96.0.5:80/TCP port 8080 to 10.244.2.1
`},
		{name: "nobody wants it", hns: in(eps(remote("10.244.2.1")), balancer(nil, "r10.244.2.1")), plan: `
delete loadbalancer 10.96.0.5:80/TCP
`},
		{name: "wanted without backends", want: wanted(), hns: in(nil, balancer(nil, "gone")), plan: `
delete loadbalancer 10.96.0.5:80/TCP
`},
		{name: "a local backend is waited for, the others serve", want: wanted("10.244.1.1/local", "10.244.2.1"), hns: in(eps(remote("10.244.2.1"))), plan: `
create loadbalancer 10.96.0.5:80/TCP port 8080 to 10.244.2.1
waiting 10.244.1.1
`},
		{name: "only a local backend, not there yet", want: wanted("10.244.1.1/local"), hns: in(nil), plan: `
waiting 10.244.1.1
`},
		{name: "a local backend of the plugin", want: wanted("10.244.1.1/local"), hns: in(eps(local("10.244.1.1"))), plan: `
create loadbalancer 10.96.0.5:80/TCP port 8080 to 10.244.1.1
`},
		{name: "our remote endpoint stands where a local one is due", want: wanted("10.244.1.1/local"),
			hns: in(eps(remote("10.244.1.1")), balancer(nil, "r10.244.1.1")), plan: `
delete loadbalancer 10.96.0.5:80/TCP
waiting 10.244.1.1
evict 10.244.1.1
`},
		{name: "a local endpoint outranks our remote one", want: wanted("10.244.1.1/local"),
			hns: in(eps(remote("10.244.1.1"), local("10.244.1.1")), balancer(nil, "r10.244.1.1")), plan: `
update loadbalancer 10.96.0.5:80/TCP port 8080 to 10.244.1.1
`},
		{name: "a foreign load balancer blocks", want: wanted("10.244.2.1"),
			hns: in(eps(remote("10.244.2.1")), balancer(func(lb *hnslb.LoadBalancer) { lb.Mappings[0].Flags = hnslb.ILB }, "r10.244.2.1")), plan: `
blocked HeldByForeignLoadBalancer
`},
		{name: "a foreign load balancer that nobody needs stays",
			hns: in(eps(remote("10.244.2.1")), balancer(func(lb *hnslb.LoadBalancer) { lb.Mappings[0].Flags = hnslb.ILB }, "r10.244.2.1"))},
		{name: "an endpoint of another network makes it foreign", want: wanted("10.244.2.1"),
			hns: in(eps(hnslb.Endpoint{ID: "x", Network: "other"}), balancer(nil, "x")), plan: `
blocked HeldByForeignLoadBalancer
`},
		{name: "a twin of ours goes", want: wanted("10.244.2.1"), hns: in(eps(remote("10.244.2.1")), balancer(nil, "r10.244.2.1"),
			balancer(func(lb *hnslb.LoadBalancer) { lb.ID = "twin" }, "r10.244.2.1")), plan: `
delete loadbalancer 10.96.0.5:80/TCP
`},
		{name: "a half-made load balancer is nobody's", want: wanted("10.244.2.1"),
			hns: in(eps(remote("10.244.2.1")), balancer(func(lb *hnslb.LoadBalancer) { lb.Mappings = nil }, "r10.244.2.1")), plan: `
create loadbalancer 10.96.0.5:80/TCP port 8080 to 10.244.2.1
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := input(tc.want, tc.hns.eps, tc.hns.lbs)
			in.Modify = !tc.noModify
			in.Env = envOf(tc.options)
			key := web()
			if tc.want != nil {
				key = tc.want.Key
			}
			if diff := cmp.Diff(strings.TrimPrefix(tc.plan, "\n"), lines(Frontend(in, key))); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHeld: an endpoint that failed a moment ago is left out, and holds up nobody (law 9).
func TestHeld(t *testing.T) {
	in := input(wanted("10.244.2.1", "10.244.2.2"), nil, nil)
	in.Unusable = func(ip netip.Addr) bool { return ip == netip.MustParseAddr("10.244.2.1") }
	want := `create endpoint 10.244.2.2 remote mac 02-11-0a-f4-02-02
create loadbalancer 10.96.0.5:80/TCP port 8080 to 10.244.2.2
held 10.244.2.1
`
	if diff := cmp.Diff(want, lines(Frontend(in, web()))); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// TestEndpoint: an endpoint of ours goes when nobody wants it and nothing in HNS names it.
func TestEndpoint(t *testing.T) {
	deletion := "delete endpoint 10.244.2.1\n"
	for _, tc := range []struct {
		name string
		want *desired.Frontend
		eps  []hnslb.Endpoint
		lbs  []hnslb.LoadBalancer
		plan string
	}{
		{name: "unwanted", eps: []hnslb.Endpoint{remote("10.244.2.1")}, plan: deletion},
		{name: "wanted", want: wanted("10.244.2.1"), eps: []hnslb.Endpoint{remote("10.244.2.1")}},
		{name: "unwanted, but still named", eps: []hnslb.Endpoint{remote("10.244.2.1")}, lbs: []hnslb.LoadBalancer{balancer(nil, "r10.244.2.1")}},
		{name: "wanted as a local one", want: wanted("10.244.2.1/local"), eps: []hnslb.Endpoint{remote("10.244.2.1")}, plan: deletion},
		{name: "beside a local one", want: wanted("10.244.2.1"), eps: []hnslb.Endpoint{remote("10.244.2.1"), local("10.244.2.1")}, plan: deletion},
		{name: "local ones are the plugin's", eps: []hnslb.Endpoint{local("10.244.2.1")}},
		{name: "another's remote endpoint", eps: []hnslb.Endpoint{{ID: "x", Network: "n", IPs: []netip.Addr{netip.MustParseAddr("10.244.2.1")}, Remote: true, MAC: "0E-2A-0A-F4-02-01"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := lines(Endpoint(input(tc.want, tc.eps, tc.lbs), netip.MustParseAddr("10.244.2.1")))
			if diff := cmp.Diff(tc.plan, got); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAll: a full comparison names what is not as it should be, and nothing else.
func TestAll(t *testing.T) {
	in := input(wanted("10.244.2.1"), []hnslb.Endpoint{remote("10.244.2.1"), remote("10.244.2.9"), local("10.244.1.1")},
		[]hnslb.LoadBalancer{balancer(nil, "r10.244.2.1"), balancer(func(lb *hnslb.LoadBalancer) {
			lb.ID, lb.VIPs = "left", []netip.Addr{netip.MustParseAddr("10.96.0.9")}
		}, "r10.244.2.9")})
	keys, ips := All(in)
	if len(keys) != 1 || keys[0].VIP != netip.MustParseAddr("10.96.0.9") {
		t.Errorf("frontends to look at: %v, want the leftover", keys)
	}
	if len(ips) != 0 {
		t.Errorf("endpoints to look at: %v, want none while the leftover names it", ips)
	}
	in.View.RemoveLoadBalancer("left", keys[0])
	if _, ips = All(in); len(ips) != 1 || ips[0] != netip.MustParseAddr("10.244.2.9") {
		t.Errorf("endpoints to look at: %v, want the unused one", ips)
	}
}

// TestSurplusIsLinear: looking at everything costs the same for each surplus load balancer,
// however many there are. It counts bytes, since a busy machine cannot change them.
func TestSurplusIsLinear(t *testing.T) {
	perTwin := func(n int) uint64 {
		var lbs []hnslb.LoadBalancer
		for i := range n {
			at := netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)})
			for _, side := range []string{"a", "b"} {
				lbs = append(lbs, balancer(func(lb *hnslb.LoadBalancer) {
					lb.ID, lb.VIPs = hnslb.ID(side+at.String()), []netip.Addr{at}
				}, "r10.244.2.1"))
			}
		}
		in := input(nil, []hnslb.Endpoint{remote("10.244.2.1")}, lbs)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		keys, _ := All(in)
		runtime.ReadMemStats(&after)
		if len(keys) != n {
			t.Errorf("%d frontends to look at, want %d", len(keys), n)
		}
		return (after.TotalAlloc - before.TotalAlloc) / uint64(n)
	}
	if few, many := perTwin(500), perTwin(4000); many > 2*few {
		t.Errorf("bytes for each surplus load balancer: %d among 500, %d among 4,000", few, many)
	}
}
