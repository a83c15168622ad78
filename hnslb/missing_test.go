// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

func TestNetworkNotFound(t *testing.T) {
	t.Parallel()
	var many []hnslb.NetworkName
	for i := range 20 {
		many = append(many, hnslb.NetworkName{Name: fmt.Sprintf("n%02d", 19-i), Type: "NAT"})
	}
	for _, tc := range []struct {
		name string
		err  hnslb.NetworkNotFound
		want string
	}{
		{"none", hnslb.NetworkNotFound{}, `no HNS network exists`},
		{"sorted", hnslb.NetworkNotFound{Existing: []hnslb.NetworkName{{"nat", "NAT"}, {"External", "Overlay"}}},
			`existing networks: "External" (Overlay), "nat" (NAT)`},
		{"hostile", hnslb.NetworkNotFound{Existing: []hnslb.NetworkName{{"a\x1b[2J\u202e\n", "T\x07"}}},
			`existing networks: "a\x1b[2J\u202e\n" (T\a)`},
		{"many", hnslb.NetworkNotFound{Existing: many},
			`existing networks: "n00" (NAT), "n01" (NAT), "n02" (NAT), "n03" (NAT), "n04" (NAT), "n05" (NAT), "n06" (NAT), "n07" (NAT), 12 more`},
		{"not known", hnslb.NetworkNotFound{Unknown: errors.New("access denied")}, `listing its networks failed: access denied`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.err.Name = "azure"
			if got, want := tc.err.Error(), `HNS network "azure" not found; `+tc.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
