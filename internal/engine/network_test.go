// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

const macOfHost = "00-15-5D-00-00-04"

// overlayBench is a bench on an overlay with a source VIP and a route to 10.244.2.0/24.
func overlayBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, func(c *Config) { c.Options.SourceVIP = addr("10.244.1.2") })
	b.network.Type, b.network.HostMAC = hnslb.NetworkOverlay, macOfHost
	b.network.Subnets = []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}
	b.network.Remotes = []hnslb.RemoteSubnet{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: addr("10.0.0.5")}}
	return b
}

// TestIncompleteNetwork: what a network lacks is told when it changes and once a minute, the
// network is asked for again once a second and less often after a minute, and nothing is listed
// or written.
func TestIncompleteNetwork(t *testing.T) {
	b := overlayBench(t)
	b.network.ManagementIP, b.network.HostMAC = netip.Addr{}, ""
	b.run(0)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1")})
	b.run(30 * time.Second)
	if s := b.status("a"); s.State != Pending || s.Note.Reason != desired.NetworkIncomplete {
		t.Errorf("state %s %s", s.State, s.Note.Reason)
	}
	if since, why := b.Lag(); since != b.cfg.Start || why == "" || !b.Idle() {
		t.Errorf("behind since %s: %q, idle %v", since, why, b.Idle())
	}
	b.network.ManagementIP = addr("10.0.0.4")
	b.run(2 * time.Minute)
	var lacks []string
	for _, told := range only[NetworkIncomplete](b.transitions) {
		lacks = append(lacks, told.Missing)
	}
	want := []string{"no management IP assigned yet"}
	for range 3 {
		want = append(want, "no network adapter on this host has address 10.0.0.4 yet, so the host MAC address is unknown")
	}
	if diff := cmp.Diff(want[:3], lacks[:min(len(lacks), 3)]); diff != "" || len(lacks) > 4 {
		t.Errorf("told (-want +got):\n%s\nin all %d times", diff, len(lacks))
	}
	if len(b.log)+len(b.lists) > 0 {
		t.Errorf("half a picture: calls %v, lists %v", b.log, b.lists)
	}
	b.network.HostMAC = macOfHost
	b.run(6 * time.Second)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1")})
	b.run(10 * time.Second)
	if got := only[NetworkComplete](b.transitions); len(got) != 1 || got[0].Host != (desired.Host{IP: addr("10.0.0.4"), MAC: macOfHost}) {
		t.Errorf("told %v", got)
	}
	if s := b.status("a"); s.State != Programmed || len(b.lists) != 1 {
		t.Errorf("state %s %s after lists %v", s.State, s.Note.Message, b.lists)
	}
}

// TestNetworkPolls: how often an incomplete network is asked for.
func TestNetworkPolls(t *testing.T) {
	b := overlayBench(t)
	b.network.HostMAC = ""
	asked := func(d time.Duration) int {
		n := 0
		for end := b.clock.Add(d); b.clock.Before(end); {
			r := b.ready()
			if r.Network {
				n++
			}
			b.answer(r)
			if r.Recompute {
				b.SetServices(nil)
			}
			b.clock = b.clock.Add(100 * time.Millisecond)
		}
		return n
	}
	if n := asked(time.Minute); n < 55 || n > 61 {
		t.Errorf("asked %d times in the first minute, want about 60", n)
	}
	if n := asked(time.Minute); n < 11 || n > 13 {
		t.Errorf("asked %d times in the second minute, want 12", n)
	}
}

// TestSourceVIPComesFirst: its endpoint is the first call, load balancers wait for it, and say
// so; what cannot be made is tried again.
func TestSourceVIPComesFirst(t *testing.T) {
	b := overlayBench(t)
	b.run(0)
	b.SetServices([]services.Input{dns("10.244.2.1"), service("a", "10.96.0.1", "10.244.2.1")})
	r := b.ready()
	wantList(t, r, &ListRequest{})
	b.list(r.List)
	r = b.ready()
	if callText(r.Calls[0]) != "CreateEndpoint 10.244.1.2" {
		t.Fatalf("calls %v, want the source VIP first", callTexts(r.Calls))
	}
	b.fail(r.Calls[0], refused(hnslb.Invalid))
	for _, c := range r.Calls[1:] {
		b.succeed(c)
	}
	b.run(50 * time.Millisecond)
	if s := b.status("kube-dns"); s.State != Failing || s.Note.Reason != desired.SourceVIPAwaited {
		t.Errorf("cluster DNS is %s %s: %s", s.State, s.Note.Reason, s.Note.Message)
	}
	if len(b.lbs) > 0 {
		t.Errorf("load balancers without source VIP: %v", b.lbs)
	}
	b.run(10 * time.Second)
	for _, name := range []string{"kube-dns", "a"} {
		if s := b.status(name); s.State != Programmed {
			t.Errorf("%s is %s %s: %s", name, s.State, s.Note.Reason, s.Note.Message)
		}
	}
	// It vanishes and comes back by itself: what was made stays as it is.
	b.eps = slices.DeleteFunc(b.eps, func(e hnslb.Endpoint) bool { return e.IPs[0] == addr("10.244.1.2") })
	b.clear()
	b.Audit()
	b.run(time.Second)
	if diff := cmp.Diff([]string{"CreateEndpoint 10.244.1.2"}, b.log); diff != "" {
		t.Errorf("after the endpoint was lost (-want +got):\n%s", diff)
	}
}

// TestSourceVIPOfThePlugin: who waits for the source VIP goes on when somebody else brings it.
func TestSourceVIPOfThePlugin(t *testing.T) {
	b := overlayBench(t)
	b.run(0)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1")})
	r := b.ready()
	b.list(r.List)
	r = b.ready()
	b.eps = append(b.eps, local("10.244.1.2"))
	b.fail(r.Calls[0], refused(hnslb.AlreadyExists))
	for _, c := range r.Calls[1:] {
		b.succeed(c)
	}
	b.run(5 * time.Second)
	if s := b.status("a"); s.State != Programmed || slices.Contains(b.log[1:], "CreateEndpoint 10.244.1.2") {
		t.Errorf("state %s %s after %v", s.State, s.Note.Message, b.log)
	}
}

// TestRoutesOfNobody: an address that no frontend lists, or that is a cluster IP, is waited for
// in silence, and nothing is computed again when the wait is over.
func TestRoutesOfNobody(t *testing.T) {
	b := overlayBench(t)
	unready := service("a", "10.96.0.1", "10.244.2.1", "10.244.7.7", "10.96.0.2")
	unready.Slices[0].Endpoints[1].Ready = false
	unready.Slices[0].Endpoints[1].Serving = false
	b.run(0)
	b.SetServices([]services.Input{service("b", "10.96.0.2", "10.244.2.1"), unready})
	b.clear()
	for end := b.clock.Add(20 * time.Second); b.clock.Before(end); {
		r := b.ready()
		if (r.Recompute || len(r.Resubmit) > 0) && b.clock.After(b.cfg.Start) {
			t.Fatal("everything is computed anew")
		}
		b.answer(r)
		b.clock = b.clock.Add(100 * time.Millisecond)
	}
	if missing := only[RoutesMissing](b.transitions); len(missing) > 0 {
		t.Errorf("told of %v", missing)
	}
	if b.env.AwaitedCount() > 0 {
		t.Error("it waits still")
	}
}

// TestRouteGivenUp: a route that does not come is told of once, and the pods are reached through
// this node.
func TestRouteGivenUp(t *testing.T) {
	b := overlayBench(t)
	in := service("a", "10.96.0.1", "10.244.7.8", "10.244.7.7")
	b.run(0)
	b.SetServices([]services.Input{in, service("b", "10.96.0.2", "10.244.2.1")})
	b.run(9 * time.Second)
	if s := b.status("a"); s.State != Pending || s.Note.Reason != desired.RouteAwaited {
		t.Errorf("state %s %s", s.State, s.Note.Reason)
	}
	b.clock = b.clock.Add(2 * time.Second)
	if r := b.ready(); r.Recompute || len(r.Calls) > 0 || !slices.Equal(r.Resubmit, []services.Name{in.Name}) {
		t.Fatalf("the wait is over: it asks for all (%v), for %v, and calls %v", r.Recompute, r.Resubmit, callTexts(r.Calls))
	}
	b.SetServices([]services.Input{in})
	b.run(time.Second)
	if s := b.status("a"); s.State != Programmed || s.Frontend.SourceVIP != addr("10.0.0.4") {
		t.Errorf("state %s, source %s", s.State, s.Frontend.SourceVIP)
	}
	want := []RoutesMissing{{[]netip.Addr{addr("10.244.7.7"), addr("10.244.7.8")}}}
	if diff := cmp.Diff(want, only[RoutesMissing](b.transitions), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// TestRouteAwaitedByTheNext: an address that goes from one Service to another at once is waited
// for no longer than any other.
func TestRouteAwaitedByTheNext(t *testing.T) {
	b := overlayBench(t)
	a, c := service("a", "10.96.0.1", "10.244.7.8"), service("c", "10.96.0.3", "10.244.2.1")
	b.run(0)
	b.SetServices([]services.Input{a, c})
	b.run(time.Second)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1"), service("c", "10.96.0.3", "10.244.7.8")})
	b.run(8 * time.Second)
	if s := b.status("c"); s.State != Pending || s.Note.Reason != desired.RouteAwaited {
		t.Errorf("state %s %s", s.State, s.Note.Reason)
	}
	b.clock = b.clock.Add(2 * time.Second)
	if r := b.ready(); !slices.Equal(r.Resubmit, []services.Name{c.Name}) {
		t.Fatalf("the wait is over, and it asks for %v", r.Resubmit)
	}
}

// TestRouteAwaitedByAll: when the wait for an address is over, every Service that lists it is
// computed anew, also one that names no node for it, in whatever order they came: the source VIP
// of each depended on the wait.
func TestRouteAwaitedByAll(t *testing.T) {
	a, c := service("a", "10.96.0.1", "10.244.7.8"), service("c", "10.96.0.3", "10.244.7.8")
	a.Slices[0].Endpoints[0].Node = ""
	for _, inputs := range [][]services.Input{{a, c}, {c, a}} {
		b := overlayBench(t)
		b.run(0)
		b.SetServices(inputs)
		b.run(9 * time.Second)
		b.clock = b.clock.Add(2 * time.Second)
		if r := b.ready(); !slices.Equal(r.Resubmit, []services.Name{a.Name, c.Name}) {
			t.Errorf("%s came first: the wait is over, and it asks for %v", inputs[0].Name, r.Resubmit)
		}
	}
}

// TestNetworkWithoutServices: a network of a type without load balancers is none, and that is
// told.
func TestNetworkWithoutServices(t *testing.T) {
	for kind, refusedType := range map[string]bool{"NAT": true, "ICS": true, "Internal": true, "private": true,
		"Transparent": false, "L2Tunnel": false} {
		b := newBench(t)
		b.network.Type = kind
		b.run(0)
		lost := only[HNSLost](b.transitions)
		if got := len(lost) == 1 && hnslb.ErrorClass(lost[0].Err) == hnslb.Unsupported && !b.AcceptsServices(); got != refusedType {
			t.Errorf("%s: refused %v, want %v; told %v", kind, got, refusedType, lost)
		}
	}
}

// TestHostFound: which address of the node counts is told at the start and when it changes, and
// a Node that changes is told of.
func TestHostFound(t *testing.T) {
	b := overlayBench(t)
	b.network.Adapters = []hnslb.Adapter{{IP: addr("10.0.0.4"), MAC: macOfHost}, {IP: addr("10.9.0.4"), MAC: "00-15-5D-00-09-04"}}
	b.run(0)
	for _, ip := range []string{"10.0.0.4", "10.9.0.4", "10.9.0.4", "10.77.0.4"} {
		b.SetNode(services.Node{Name: "this", IPs: []netip.Addr{addr(ip)}})
		b.run(0)
	}
	var hosts []string
	for _, h := range only[HostFound](b.transitions) {
		hosts = append(hosts, h.Host.IP.String()+" "+h.Host.MAC)
	}
	want := []string{"10.0.0.4 " + macOfHost, "10.0.0.4 " + macOfHost, "10.9.0.4 00-15-5D-00-09-04", "10.0.0.4 " + macOfHost}
	if diff := cmp.Diff(want, hosts); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
	if got := only[NodeChanged](b.transitions); len(got) != 3 {
		t.Errorf("the Node changed %d times, want 3", len(got))
	}
}
