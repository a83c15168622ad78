// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"net/netip"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// TestRefusedAddresses: which addresses are neither endpoints nor VIPs, and which only the
// operator denies.
func TestRefusedAddresses(t *testing.T) {
	deny, err := ParseAddressRanges([]string{"168.63.129.16", "192.0.2.0/24", "2001:db8:bad::/48"})
	if err != nil {
		t.Fatal(err)
	}
	node := services.Node{Name: "n1", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.4")}}
	env := NewEnv(node, hnslb.Network{Type: hnslb.NetworkOverlay}, hnslb.Features{},
		Options{DenyEndpoints: deny, SourceVIP: netip.MustParseAddr("10.244.1.2")})
	for _, tc := range []struct {
		addr                                     string
		endpoint, clusterIP, ingressIP, external bool
	}{
		{"10.244.2.7", true, true, true, true},
		{"fd00::7", true, true, true, true},
		{"239.255.255.255", false, false, false, false},
		{"224.0.0.1", false, false, false, false},
		{"0.0.0.0", false, false, false, false},
		{"0.255.255.255", false, false, false, false},
		{"1.0.0.0", true, true, true, true},
		{"127.0.0.1", false, false, false, false},
		{"127.255.255.254", false, false, false, false},
		{"128.0.0.1", true, true, true, true},
		{"169.254.169.254", false, false, false, false},
		{"169.255.0.1", true, true, true, true},
		{"240.0.0.1", false, false, false, false},
		{"255.255.255.255", false, false, false, false},
		{"::", false, false, false, false},
		{"::1", false, false, false, false},
		{"fe80::1", false, false, false, false},
		{"ff02::1", false, false, false, false},
		{"::ffff:10.244.2.7", false, false, false, false},
		// Denied by the operator: the API server and controllers may hand them out.
		{"168.63.129.16", false, true, true, false},
		{"192.0.2.255", false, true, true, false},
		{"2001:db8:bad::1", false, true, true, false},
		// The node's own address: host-network pods, and external IPs for node ports.
		{"10.0.0.4", true, false, true, true},
		// The source VIP is an endpoint of its own; that it is no backend is for plan.
		{"10.244.1.2", true, false, false, false},
	} {
		ip := netip.MustParseAddr(tc.addr)
		if got := env.refuseEndpoint(ip) == ""; got != tc.endpoint {
			t.Errorf("%s as an endpoint: %v, want %v", ip, got, tc.endpoint)
		}
		for kind, want := range map[Kind]bool{ClusterIP: tc.clusterIP, IngressIP: tc.ingressIP, ExternalIP: tc.external} {
			if got := env.refuseVIP(kind, ip).Reason == ""; got != want {
				t.Errorf("%s as %s: %v, want %v", ip, kind.Description(), got, want)
			}
		}
	}
	if note := env.refuseVIP(NodePort, netip.Addr{}); note.Reason != "" {
		t.Errorf("a node port, which has no VIP, is refused: %v", note)
	}
}

// TestParseAddressRanges: what is no range is named, and nothing of the list is used.
func TestParseAddressRanges(t *testing.T) {
	for _, bad := range []string{"", "10.0.0.0/33", "10.0.0", "::ffff:10.0.0.0/104", "fe80::1%eth0", "primary", "010.0.0.0/8"} {
		if r, err := ParseAddressRanges([]string{"10.0.0.0/8", bad}); err == nil || r != (AddressRanges{}) {
			t.Errorf("%q: %v, %v; want an error", bad, r, err)
		}
	}
}
