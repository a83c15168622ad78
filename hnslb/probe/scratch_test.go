// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// TestOwnership: what is ours is so for a reason, and everything else is not.
func TestOwnership(t *testing.T) {
	t.Parallel()
	ip := netip.MustParseAddr
	journal := &scratch{VIPs: netip.MustParsePrefix("192.0.2.0/24"), Unnamed: ip("198.51.100.1"), FirstPort: 40000}
	named := hnslb.Endpoint{ID: "named", Name: NamePrefix + "x", Remote: true, IPs: []netip.Addr{ip("198.51.100.9")}}
	unnamed := hnslb.Endpoint{ID: "unnamed", Remote: true, IPs: []netip.Addr{ip("198.51.100.1")}}
	pod := hnslb.Endpoint{ID: "pod", Name: NamePrefix + "pod", IPs: []netip.Addr{ip("198.51.100.10")}}
	other := hnslb.Endpoint{ID: "other", Remote: true, IPs: []netip.Addr{ip("198.51.100.11")}}
	elsewhere := hnslb.Endpoint{ID: "elsewhere", Name: NamePrefix + "y", Remote: true, IPs: []netip.Addr{ip("10.0.0.1")}}
	endpoints := []hnslb.Endpoint{named, unnamed, pod, other, elsewhere}
	lb := func(vip string, port uint16, ids ...hnslb.ID) hnslb.LoadBalancer {
		lb := hnslb.LoadBalancer{ID: "lb", Endpoints: ids}
		if vip != "" {
			lb.VIPs = []netip.Addr{ip(vip)}
		}
		if port != 0 {
			lb.Mappings = []hnslb.PortMapping{{Protocol: hnslb.TCP, ExternalPort: port, InternalPort: 1}}
		}
		return lb
	}
	for name, tt := range map[string]struct {
		lb            hnslb.LoadBalancer
		with, without bool // the journal
	}{
		"names a scratch endpoint":              {lb("10.96.0.1", 80, "named"), true, true},
		"half-made, names a scratch endpoint":   {lb("", 0, "named", "gone"), true, true},
		"names the endpoint without a name":     {lb("", 80, "unnamed"), true, false},
		"names another endpoint, too":           {lb("192.0.2.1", 40000, "named", "other"), false, false},
		"names a pod with our name":             {lb("192.0.2.1", 40000, "pod"), false, false},
		"names an endpoint of another address":  {lb("192.0.2.1", 40000, "elsewhere"), false, false},
		"dangles on a frontend of the run":      {lb("192.0.2.1", 40000+portCount-1, "gone"), true, false},
		"dangles, half-made, on a VIP":          {lb("192.0.2.1", 0, "gone"), true, false},
		"dangles on another VIP":                {lb("203.0.113.1", 40000, "gone"), false, false},
		"dangles on a port before":              {lb("192.0.2.1", 39999, "gone"), false, false},
		"dangles on a port after":               {lb("192.0.2.1", 40000+portCount, "gone"), false, false},
		"dangles on a node port":                {lb("", 40000, "gone"), false, false},
		"half-made, without endpoints and VIPs": {lb("", 0), false, false},
	} {
		h := hnsObjects{endpoints, []hnslb.LoadBalancer{tt.lb}}
		if got := h.ours(journal); (len(got.loadBalancers) == 1) != tt.with || len(got.endpoints) != 2 {
			t.Errorf("%s: with the journal ours are %+v", name, got)
		}
		if got := h.ours(nil); (len(got.loadBalancers) == 1) != tt.without || len(got.endpoints) != 1 {
			t.Errorf("%s: without the journal ours are %+v", name, got)
		}
	}
}

// TestChoose: addresses and ports that anybody uses are left to them.
func TestChoose(t *testing.T) {
	t.Parallel()
	ip := netip.MustParseAddr
	on := func(vips ...string) hnsObjects {
		var h hnsObjects
		for i, vip := range vips {
			h.loadBalancers = append(h.loadBalancers, hnslb.LoadBalancer{
				VIPs: []netip.Addr{ip(vip)}, Mappings: []hnslb.PortMapping{{ExternalPort: lowestPort + uint16(i)*portCount}},
			})
		}
		return h
	}
	for _, tt := range []struct {
		network hnslb.Network
		h       hnsObjects
		vips    string // empty for an error
		port    uint16
	}{
		{hnslb.Network{}, hnsObjects{}, "192.0.2.0/24", lowestPort},
		{hnslb.Network{}, on("192.0.2.77"), "198.51.100.0/24", lowestPort + portCount},
		{hnslb.Network{ManagementIP: ip("192.0.2.4")}, on("203.0.113.1", "10.0.0.1"), "198.51.100.0/24", lowestPort + 2*portCount},
		{hnslb.Network{Subnets: []netip.Prefix{netip.MustParsePrefix("192.0.0.0/16")}}, hnsObjects{}, "198.51.100.0/24", lowestPort},
		{hnslb.Network{Remotes: []hnslb.RemoteSubnet{{Prefix: netip.MustParsePrefix("198.0.0.0/8"), ProviderAddress: ip("203.0.113.4")}}}, hnsObjects{}, "", 0},
		{hnslb.Network{}, on("192.0.2.1", "198.51.100.1", "203.0.113.1"), "", 0},
	} {
		s, err := choose(tt.network, tt.h)
		if tt.vips == "" {
			if err == nil {
				t.Errorf("%+v: %+v was chosen", tt.h, s)
			}
			continue
		}
		if err != nil || s.VIPs.String() != tt.vips || s.FirstPort != tt.port || len(s.Addresses) == 0 || s.Addresses[0] == s.VIPs {
			t.Errorf("%+v: %+v was chosen, want VIPs in %s and ports from %d: %v", tt.h, s, tt.vips, tt.port, err)
		}
	}
}

// TestJournalForged: a journal says nothing that no run would have written.
func TestJournalForged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	for _, text := range []string{
		`{"VIPs":"0.0.0.0/0","Addresses":["198.51.100.0/24"],"Unnamed":"198.51.100.1","FirstPort":40000}`,
		`{"VIPs":"192.0.2.0/24","Addresses":["198.51.100.0/24"],"Unnamed":"10.0.0.1","FirstPort":40000}`,
		`{"VIPs":"192.0.2.0/24","Addresses":["198.51.100.0/24"],"Unnamed":"198.51.100.1","FirstPort":1}`,
		`{`, `{}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := readJournal(path); err == nil || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("%s is read as %+v: %v", text, s, err)
		}
	}
}
