// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"net/netip"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// TestLearnFlags: a flag that nobody asked for is a habit of HNS only when every load balancer
// on our network shows it, and one of them is just what a frontend needs. Else it is the mark
// of another program, whose objects are left alone.
func TestLearnFlags(t *testing.T) {
	with := func(flags hnslb.MappingFlags, port uint16, names ...hnslb.ID) hnslb.LoadBalancer {
		lb := balancer(nil, names...)
		lb.Mappings[0].Flags, lb.Mappings[0].InternalPort = flags, port
		return lb
	}
	elsewhere := func(flags hnslb.MappingFlags) hnslb.LoadBalancer {
		lb := with(flags, 8080, "r10.244.2.1")
		lb.ID, lb.VIPs = "other", []netip.Addr{netip.MustParseAddr("10.96.0.99")}
		return lb
	}
	for _, tc := range []struct {
		name string
		lbs  []hnslb.LoadBalancer
		ours bool
	}{
		{"as asked", []hnslb.LoadBalancer{with(0, 8080, "r10.244.2.1")}, true},
		{"a flag on all", []hnslb.LoadBalancer{with(64, 8080, "r10.244.2.1"), elsewhere(64)}, true},
		{"ILB on all", []hnslb.LoadBalancer{with(hnslb.ILB, 8080, "r10.244.2.1"), elsewhere(hnslb.ILB)}, true},
		{"one lacks it", []hnslb.LoadBalancer{with(hnslb.ILB, 8080, "r10.244.2.1"), elsewhere(0)}, false},
		{"it leads to another port", []hnslb.LoadBalancer{with(hnslb.ILB, 9090, "r10.244.2.1")}, false},
		{"it leads to another endpoint", []hnslb.LoadBalancer{with(hnslb.ILB, 8080, "r10.244.2.2")}, false},
		{"it leads to more endpoints", []hnslb.LoadBalancer{with(hnslb.ILB, 8080, "r10.244.2.1", "r10.244.2.2")}, false},
		{"its endpoint is gone", []hnslb.LoadBalancer{with(hnslb.ILB, 8080, "gone")}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := input(wanted("10.244.2.1"), []hnslb.Endpoint{remote("10.244.2.1"), remote("10.244.2.2")}, tc.lbs)
			odd := !in.View.LoadBalancer(web()).Ours
			if changed := LearnFlags(in.State, in.View); changed != (odd && tc.ours) {
				t.Errorf("it says that it changed something: %v", changed)
			}
			if lb := in.View.LoadBalancer(web()); lb.Ours != tc.ours {
				t.Errorf("ours: %v, want %v", lb.Ours, tc.ours)
			}
			if steps := len(Frontend(in, web()).Steps); steps > 0 {
				t.Errorf("%d steps, want none", steps)
			}
		})
	}
}
