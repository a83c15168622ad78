// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/observed"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// overlayInput is the input for a frontend on an overlay that has a route to 10.244.2.0/24 and
// awaits one to 10.244.7.7.
func overlayInput(want *desired.Frontend, eps []hnslb.Endpoint, lbs ...hnslb.LoadBalancer) Input {
	network := hnslb.Network{ID: "n", Type: hnslb.NetworkOverlay, ManagementIP: netip.MustParseAddr("10.0.0.4"), HostMAC: "00-15-5D-00-00-04",
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")},
		Remotes: []hnslb.RemoteSubnet{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: netip.MustParseAddr("10.0.0.5")}}}
	source := netip.MustParseAddr("10.244.1.2")
	in := Input{State: desired.NewState(), View: observed.New(source), Modify: true,
		Env: desired.NewEnv(services.Node{Name: "this"}, network, hnslb.FeaturesOf(hnslb.Version{Major: 15, Minor: 5}),
			desired.Options{SourceVIP: source}).WithAwaited(map[netip.Addr]bool{netip.MustParseAddr("10.244.7.7"): true})}
	want.SourceVIP = source
	in.State.Set(want.Service, []*desired.Frontend{want})
	in.View.SetNetwork(network)
	in.View.Replace(eps, lbs)
	return in
}

// TestWhatAnOverlayWaitsFor: the order of things on an overlay, and what waits for what.
func TestWhatAnOverlayWaitsFor(t *testing.T) {
	through := func(host string, e hnslb.Endpoint) hnslb.Endpoint {
		e.ProviderAddress = netip.MustParseAddr(host)
		return e
	}
	source := local("10.244.1.2")
	routed, unrouted := through("10.0.0.5", remote("10.244.2.1")), through("10.0.0.99", remote("10.244.7.7"))
	held := func(endpoints ...hnslb.ID) hnslb.LoadBalancer {
		return balancer(func(lb *hnslb.LoadBalancer) { lb.SourceVIP = netip.MustParseAddr("10.244.1.2") }, endpoints...)
	}
	for _, tc := range []struct {
		name     string
		backends []string
		eps      []hnslb.Endpoint
		lbs      []hnslb.LoadBalancer
		change   func(*Input)
		ops      []hnslb.Verb
		// noSource and unrouted are what the unit waits for.
		noSource bool
		unrouted int
	}{
		{name: "without the source VIP: the endpoints only", backends: []string{"10.244.2.1"}, ops: []hnslb.Verb{hnslb.VerbCreateEndpoint}, noSource: true},
		{name: "a remote endpoint at the source VIP is no source VIP", backends: []string{"10.244.2.1"},
			eps: []hnslb.Endpoint{remote("10.244.1.2")}, ops: []hnslb.Verb{hnslb.VerbCreateEndpoint}, noSource: true},
		{name: "with it", backends: []string{"10.244.2.1"}, eps: []hnslb.Endpoint{source}, ops: []hnslb.Verb{hnslb.VerbCreateEndpoint, hnslb.VerbCreateLoadBalancer}},
		{name: "deleted to be made anew", backends: []string{"10.244.2.1"}, eps: []hnslb.Endpoint{routed},
			change: func(in *Input) { in.Recreate = true }, ops: []hnslb.Verb{hnslb.VerbCreateLoadBalancer}},
		{name: "what is there is changed all the same", backends: []string{"10.244.2.1"}, eps: []hnslb.Endpoint{routed, through("10.0.0.5", remote("10.244.2.2"))},
			lbs: []hnslb.LoadBalancer{held("r10.244.2.1", "r10.244.2.2")}, ops: []hnslb.Verb{hnslb.VerbUpdateLoadBalancer}},
		{name: "a backend without route is left out", backends: []string{"10.244.2.1", "10.244.7.7"}, eps: []hnslb.Endpoint{source, routed},
			ops: []hnslb.Verb{hnslb.VerbCreateLoadBalancer}, unrouted: 1},
		{name: "a young network waits for it", backends: []string{"10.244.2.1", "10.244.7.7"}, eps: []hnslb.Endpoint{source, routed},
			change: func(in *Input) { in.RoutesPending = true }, unrouted: 1},
		{name: "not with what is there", backends: []string{"10.244.2.1", "10.244.7.7"}, eps: []hnslb.Endpoint{source, routed, through("10.0.0.5", remote("10.244.2.2"))},
			lbs: []hnslb.LoadBalancer{held("r10.244.2.2")}, change: func(in *Input) { in.RoutesPending = true }, ops: []hnslb.Verb{hnslb.VerbUpdateLoadBalancer}, unrouted: 1},
		{name: "an endpoint that is there keeps its host", backends: []string{"10.244.7.7"}, eps: []hnslb.Endpoint{source, unrouted},
			ops: []hnslb.Verb{hnslb.VerbCreateLoadBalancer}},
		{name: "nobody else serves: the load balancer goes", backends: []string{"10.244.7.7"}, eps: []hnslb.Endpoint{source, routed},
			lbs: []hnslb.LoadBalancer{held("r10.244.2.1")}, ops: []hnslb.Verb{hnslb.VerbDeleteLoadBalancer}, unrouted: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := overlayInput(wanted(tc.backends...), tc.eps, tc.lbs...)
			if tc.change != nil {
				tc.change(&in)
			}
			u := Frontend(in, web())
			var ops []hnslb.Verb
			for _, s := range u.Steps {
				ops = append(ops, s.Verb())
			}
			if !slices.Equal(ops, tc.ops) || u.NoSourceVIP != tc.noSource || len(u.NoRoute) != tc.unrouted {
				t.Errorf("got %snoSourceVIP %v, unrouted %v", lines(u), u.NoSourceVIP, u.NoRoute)
			}
			if waits := tc.noSource || tc.unrouted > 0; waits && u.Empty() {
				t.Error("it waits and counts as settled")
			}
		})
	}
}
