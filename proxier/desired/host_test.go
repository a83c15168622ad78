// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"net/netip"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// TestHostOf: address and MAC are always those of one adapter.
func TestHostOf(t *testing.T) {
	own, management, other := netip.MustParseAddr("10.9.0.4"), netip.MustParseAddr("10.0.0.4"), netip.MustParseAddr("10.77.0.4")
	both := []hnslb.Adapter{{IP: management, MAC: "m"}, {IP: own, MAC: "o"}}
	for _, tc := range []struct {
		name     string
		node     []netip.Addr
		adapters []hnslb.Adapter
		mac      string
		want     Host
	}{
		{"the node's own adapter", []netip.Addr{own}, both, "m", Host{own, "o"}},
		{"the management IP", []netip.Addr{management}, both, "m", Host{management, "m"}},
		{"dual stack", []netip.Addr{netip.MustParseAddr("fd00::4"), own}, both, "m", Host{own, "o"}},
		{"no adapter has the node's address", []netip.Addr{other}, both, "m", Host{management, "m"}},
		{"the node has no address", nil, both, "m", Host{management, "m"}},
		{"an IPv6 node", []netip.Addr{netip.MustParseAddr("fd00::4")}, both, "m", Host{management, "m"}},
		{"adapters are not known", []netip.Addr{own}, nil, "m", Host{own, "m"}},
		{"nothing yet", []netip.Addr{own}, nil, "", Host{own, ""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := HostOf(services.Node{IPs: tc.node}, hnslb.Network{ManagementIP: management, HostMAC: tc.mac, Adapters: tc.adapters})
			if got != tc.want || got.Complete() != (tc.want.MAC != "") {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

// TestLacksRoute: only an overlay has routes, and only to what is neither here nor somewhere
// else already.
func TestLacksRoute(t *testing.T) {
	n := overlay()
	for _, tc := range []struct {
		ip   string
		want bool
	}{
		{"172.16.7.7", true},
		{"10.244.1.7", false}, // this node's pods
		{"10.0.0.4", false},   // this node
		{"fd00::7", false},    // an overlay carries no IPv6
	} {
		ip := netip.MustParseAddr(tc.ip)
		if got := envOf(n, hnslb.Version{Major: 15, Minor: 5}, Options{}).LacksRoute(ip); got != tc.want {
			t.Errorf("overlay, %s: %v, want %v", ip, got, tc.want)
		}
		if envOf(l2bridge(), hnslb.Version{Major: 15, Minor: 5}, Options{}).LacksRoute(ip) {
			t.Errorf("L2Bridge, %s: true, want false", ip)
		}
	}
	for _, r := range n.Remotes {
		if env := envOf(n, hnslb.Version{}, Options{}); env.LacksRoute(r.Prefix.Addr().Next()) || env.LacksRoute(r.ProviderAddress) {
			t.Errorf("a pod or the host behind %v: true, want false", r)
		}
	}
}

// TestAwaitedIsInside: while the route to a pod is awaited its load balancer has the source VIP,
// and when the wait is over that of what is outside the cluster.
func TestAwaitedIsInside(t *testing.T) {
	source, pod := netip.MustParseAddr("10.244.1.2"), netip.MustParseAddr("172.16.7.7")
	env := envOf(overlay(), hnslb.Version{Major: 15, Minor: 5}, Options{SourceVIP: source})
	if got := env.sourceVIP(hnslb.IPv4, []Backend{{IP: pod}}); got != netip.MustParseAddr("10.0.0.4") {
		t.Errorf("no route: source %s, want the node's address", got)
	}
	awaiting := env.WithAwaited(map[netip.Addr]bool{pod: true})
	if got := awaiting.sourceVIP(hnslb.IPv4, []Backend{{IP: pod}}); got != source {
		t.Errorf("awaited: source %s, want the source VIP", got)
	}
	if env.Same(awaiting) || !awaiting.Same(env.WithAwaited(map[netip.Addr]bool{pod: true})) {
		t.Error("what is awaited makes no difference, or the same makes one")
	}
}
