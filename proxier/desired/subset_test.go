// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// inZones makes endpoints in zones a, b and c by turns, some of them on this node.
func inZones(n, locals int) []candidate {
	out := make([]candidate, 0, n)
	for i := range n {
		e := services.Endpoint{IP: netip.AddrFrom4([4]byte{10, 244, byte(i / 250), byte(i%250 + 1)}), Zone: string(rune('a' + i%3))}
		out = append(out, candidate{Endpoint: e, port: 80, local: i < locals})
	}
	return out
}

func TestSubset(t *testing.T) {
	for _, tc := range []struct {
		name                string
		all, locals, most   int
		perZone, wantLocals string
	}{
		{"all fit", 9, 2, 9, "a3 b3 c3", "2"},
		{"zones by turns", 90, 0, 9, "a3 b3 c3", "0"},
		{"an uneven rest", 90, 0, 10, "a4 b3 c3", "0"},
		{"local ones first, then zones by turns", 90, 6, 12, "a4 b4 c4", "6"},
		{"more local ones than fit", 90, 90, 7, "", "7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := limitEndpoints(inZones(tc.all, tc.locals), tc.most, "this")
			zones, locals := map[string]int{}, 0
			for _, c := range got {
				zones[c.Zone]++
				if c.local {
					locals++
				}
			}
			if len(got) != tc.most || fmt.Sprint(locals) != tc.wantLocals {
				t.Errorf("%d endpoints, %d local, want %d, %s", len(got), locals, tc.most, tc.wantLocals)
			}
			if text := fmt.Sprintf("a%d b%d c%d", zones["a"], zones["b"], zones["c"]); tc.perZone != "" && text != tc.perZone {
				t.Errorf("zones %s, want %s", text, tc.perZone)
			}
			if !slices.IsSortedFunc(got, func(a, b candidate) int { return a.IP.Compare(b.IP) }) {
				t.Error("not in order of addresses")
			}
		})
	}
}

// TestSubsetIsStable: an endpoint that goes makes room for one other, and nodes choose
// different ones, so that all endpoints are used by somebody.
func TestSubsetIsStable(t *testing.T) {
	all := inZones(300, 0)
	before := limitEndpoints(all, 64, "this")
	for _, gone := range []candidate{before[0], before[40], all[7]} {
		after := limitEndpoints(slices.DeleteFunc(slices.Clone(all), func(c candidate) bool { return c.IP == gone.IP }), 64, "this")
		kept := 0
		for _, c := range after {
			if slices.Contains(before, c) {
				kept++
			}
		}
		if kept < 63 {
			t.Errorf("without %s %d of 64 stayed, want 63 at least", gone.IP, kept)
		}
	}
	used := map[netip.Addr]bool{}
	for node := range 40 {
		for _, c := range limitEndpoints(all, 64, fmt.Sprint("node-", node)) {
			used[c.IP] = true
		}
	}
	if len(used) != len(all) {
		t.Errorf("40 nodes use %d of %d endpoints", len(used), len(all))
	}
}
