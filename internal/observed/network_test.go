// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package observed

import (
	"net/netip"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

const hostMAC = "00-15-5D-00-00-04"

// TestFormerMAC: what we made with a MAC that the host had before is still ours, and known to be
// outdated; a MAC that comes back is not a former one.
func TestFormerMAC(t *testing.T) {
	other := "00-15-5D-00-00-14"
	n := hnslb.Network{ID: "n", Type: hnslb.NetworkOverlay, HostMAC: hostMAC}
	e := hnslb.Endpoint{ID: "vip", Network: "n", IPs: []netip.Addr{vip}, MAC: hostMAC, Remote: true}
	v := New(netip.Addr{})
	check := func(step string, mac string, unknown, ours, former, isVIP bool) {
		t.Helper()
		n.HostMAC = mac
		if got := v.SetNetwork(n); got != unknown {
			t.Errorf("%s: everything has to be listed: %v, want %v", step, got, unknown)
		}
		v.Replace([]hnslb.Endpoint{e}, nil)
		if got := v.Endpoint(vip); got.Ours != ours || got.HasFormerMAC != former || got.VIP != isVIP {
			t.Errorf("%s: ours %v, former %v, VIP %v; want %v, %v, %v", step, got.Ours, got.HasFormerMAC, got.VIP, ours, former, isVIP)
		}
	}
	check("at first", hostMAC, true, true, false, true)
	check("the same", hostMAC, false, true, false, true)
	check("another MAC", other, true, true, true, false)
	check("back", hostMAC, true, true, false, true)
	check("gone", "", true, true, true, false)
}

// TestManagementIPChanges: node ports are outdated when the host's address is another one than
// the last valid one, whatever its MAC does meanwhile.
func TestManagementIPChanges(t *testing.T) {
	nodePort := balancer("lb", 0, "e")
	nodePort.VIPs = nil
	key, _ := nodePort.Key()
	for _, tc := range []struct {
		name string
		to   []hnslb.Network
		want bool
	}{
		{"the same", []hnslb.Network{{ManagementIP: node, HostMAC: "m"}}, false},
		{"another", []hnslb.Network{{ManagementIP: netip.MustParseAddr("10.0.0.14"), HostMAC: "m"}}, true},
		{"another with another MAC", []hnslb.Network{{ManagementIP: netip.MustParseAddr("10.0.0.14"), HostMAC: "o"}}, true},
		{"gone", []hnslb.Network{{}}, false},
		{"gone and back", []hnslb.Network{{}, {ManagementIP: node, HostMAC: "m"}}, false},
		{"gone and another", []hnslb.Network{{}, {ManagementIP: netip.MustParseAddr("10.0.0.14"), HostMAC: "o"}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := New(netip.Addr{})
			v.SetNetwork(hnslb.Network{ManagementIP: node, HostMAC: "m"})
			v.Replace(nil, []hnslb.LoadBalancer{nodePort})
			for _, n := range tc.to {
				v.SetNetwork(n)
			}
			if got := v.LoadBalancer(key).outdated; got != tc.want {
				t.Errorf("outdated %v, want %v", got, tc.want)
			}
		})
	}
	v := New(netip.Addr{})
	v.SetNetwork(hnslb.Network{})
	v.Replace(nil, []hnslb.LoadBalancer{nodePort})
	v.SetNetwork(hnslb.Network{ManagementIP: node})
	if !v.LoadBalancer(key).outdated {
		t.Error("written without an address: it is not outdated when one comes")
	}
}
