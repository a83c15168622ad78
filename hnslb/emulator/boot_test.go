// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestNetworkComesInSteps: a network is there before its host address, its MAC and its routes
// are, and loses them again.
func TestNetworkComesInSteps(t *testing.T) {
	s := spec(hnslb.NetworkOverlay)
	s.ManagementIP, s.Remotes = netip.Addr{}, nil
	n := nodeOf(t, emulator.Config{Profile: profiles.WS2022()}, s)
	want := func(step, management, mac string, adapters, routes int) {
		t.Helper()
		got, err := n.Network(t.Context(), "Calico")
		n.must(err)
		var address netip.Addr
		if management != "" {
			address = ip(management)
		}
		if got.ManagementIP != address || got.HostMAC != mac || len(got.Adapters) != adapters || len(got.Remotes) != routes {
			t.Errorf("%s: management IP %s, MAC %q, %d adapters, %d routes; want %s, %q, %d and %d",
				step, got.ManagementIP, got.HostMAC, len(got.Adapters), len(got.Remotes), management, mac, adapters, routes)
		}
	}
	want("at first", "", "", 0, 0)
	n.must(n.SetHost("Calico", ip("10.0.0.5"), ""))
	want("without MAC", "10.0.0.5", "", 0, 0)
	n.must(n.SetHost("Calico", ip("10.0.0.5"), "00-15-5D-00-00-05"))
	want("with MAC", "10.0.0.5", "00-15-5D-00-00-05", 1, 0)
	n.must(n.SetRemotes("Calico", spec(hnslb.NetworkOverlay).Remotes))
	want("with routes", "10.0.0.5", "00-15-5D-00-00-05", 1, 1)
	n.must(n.SetAdapters("Calico", []hnslb.Adapter{{IP: ip("10.9.0.5"), MAC: "00-15-5D-00-09-05"}}))
	want("with a second NIC", "10.0.0.5", "00-15-5D-00-00-05", 2, 1)
	st, err := emulator.ParseDump(strings.NewReader(n.Dump()))
	n.must(err)
	if !slices.Equal(st.Networks[0].Adapters, []hnslb.Adapter{{IP: ip("10.9.0.5"), MAC: "00-15-5D-00-09-05"}}) {
		t.Errorf("the dump reads back as adapters %v", st.Networks[0].Adapters)
	}
	n.must(n.SetHost("Calico", netip.Addr{}, "00-15-5D-00-00-05"))
	want("lost", "", "", 1, 1)
	if n.SetHost("Calico", ip("10.0.0.5"), "nonsense") == nil || n.SetAdapters("Calico", []hnslb.Adapter{{IP: ip("10.9.0.5")}}) == nil {
		t.Error("what is no MAC was taken for one")
	}
}

// TestDefaultName: how an endpoint is shown that was made without a name, and that no other
// name is touched.
func TestDefaultName(t *testing.T) {
	for _, tc := range []struct {
		name         string
		quirks       profiles.Quirks
		made, listed string
	}{
		{"neither", profiles.Quirks{}, "", ""},
		{"V1", profiles.Quirks{DefaultNameV1: true}, "", "Ethernet"},
		{"V2", profiles.Quirks{DefaultNameV2: true}, "Ethernet", ""},
		{"both", profiles.Quirks{DefaultNameV1: true, DefaultNameV2: true}, "Ethernet", "Ethernet"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := profiles.WS2025()
			p.Quirks = tc.quirks
			n := newNode(t, p, "L2Bridge")
			made, err := n.CreateEndpoint(t.Context(), n.remoteEndpoint("10.244.2.7"))
			n.must(err)
			named := n.remoteEndpoint("10.244.2.8")
			named.Name = "mine"
			_, err = n.CreateEndpoint(t.Context(), named)
			n.must(err)
			eps, err := n.Endpoints(t.Context())
			n.must(err)
			if made.Name != tc.made || eps[0].Name != tc.listed || eps[1].Name != "mine" {
				t.Errorf("made %q, listed %q and %q; want %q, %q and mine", made.Name, eps[0].Name, eps[1].Name, tc.made, tc.listed)
			}
		})
	}
}

// TestSourceVIPFirst: with the quirk, a load balancer that comes before the endpoint of its
// source VIP carries nothing, also when that comes later.
func TestSourceVIPFirst(t *testing.T) {
	for _, quirk := range []bool{false, true} {
		for _, first := range []bool{false, true} {
			p := profiles.WS2025()
			p.Quirks.SourceVIPFirst = quirk
			n := newNode(t, p, hnslb.NetworkOverlay)
			if first {
				n.local("10.244.1.2")
			}
			backend := n.local("10.244.1.5")
			n.balance([]hnslb.ID{backend}, source("10.244.1.2"))
			if !first {
				n.local("10.244.1.2")
			}
			if got, want := !n.State().LoadBalancers[0].NoRules, first || !quirk; got != want {
				t.Errorf("quirk %v, source VIP first %v: it has rules %v, want %v", quirk, first, got, want)
			}
		}
	}
}
