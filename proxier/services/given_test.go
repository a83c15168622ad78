// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"net/netip"
	"slices"
	"testing"
)

// TestWithGiven: --bind-address outranks the Node in its own family only.
func TestWithGiven(t *testing.T) {
	for _, tc := range []struct {
		name              string
		node, given, want []string
	}{
		{"nothing given", []string{"10.0.0.4", "fd00::4"}, nil, []string{"10.0.0.4", "fd00::4"}},
		{"IPv4 of a dual-stack node", []string{"10.0.0.4", "fd00::4"}, []string{"10.9.0.4"}, []string{"10.9.0.4", "fd00::4"}},
		{"IPv6 of a dual-stack node", []string{"10.0.0.4", "fd00::4"}, []string{"fd00::9"}, []string{"fd00::9", "10.0.0.4"}},
		{"both", []string{"10.0.0.4", "fd00::4"}, []string{"10.9.0.4", "fd00::9"}, []string{"10.9.0.4", "fd00::9"}},
		{"a node without addresses", nil, []string{"10.9.0.4"}, []string{"10.9.0.4"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Node{Name: "n", IPs: parsed(tc.node)}.WithOverrides(parsed(tc.given))
			if want := parsed(tc.want); got.Name != "n" || !slices.Equal(got.IPs, want) {
				t.Errorf("got %v, want %v", got.IPs, want)
			}
		})
	}
}

func parsed(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}
