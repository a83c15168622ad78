// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"net/netip"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestFlow: which flows stay on an endpoint when the load balancer names others.
func TestFlow(t *testing.T) {
	const (
		stays = "lost: flow of an endpoint that the load balancer does not name any more"
		moves = "10.244.2.8:8080 from 10.0.0.5"
	)
	for _, tc := range []struct {
		name    string
		options []option
		quirk   bool
		anew    bool // deleted and created rather than changed
		want    string
	}{
		{"TCP to a cluster IP is hashed anew", nil, true, false, moves},
		{"UDP to a cluster IP is hashed anew", []option{udp}, false, false, moves},
		{"UDP stays if HNS is like that", []option{udp}, true, false, stays},
		{"an external VIP keeps its flows", []option{mapped(hnslb.VIPExternal)}, false, false, stays},
		{"deletion ends them", []option{udp, mapped(hnslb.VIPExternal)}, true, true, moves},
	} {
		t.Run(tc.name, func(t *testing.T) {
			profile := profiles.WS2025()
			profile.Quirks.UDPFlowsStay = tc.quirk
			n := nodeOf(t, emulator.Config{Profile: profile}, spec("L2Bridge"))
			n.local("10.244.1.5")
			old, next := n.remote("10.244.2.7"), n.remote("10.244.2.8")
			lb := n.balance([]hnslb.ID{old}, tc.options...)
			flow := n.Flow(emulator.Packet{
				From: emulator.LocalPod(ip("10.244.1.5")), To: netip.MustParseAddrPort("10.96.0.10:80"), Protocol: lb.Mappings[0].Protocol})
			if got := flow.Send().String(); got != "10.244.2.7:8080 from 10.0.0.5" {
				t.Fatalf("the first packet: %s", got)
			}
			lb.Endpoints = []hnslb.ID{next}
			if tc.anew {
				n.must(n.DeleteLoadBalancer(t.Context(), lb.ID))
				n.balance(lb.Endpoints, tc.options...)
			} else {
				_, err := n.UpdateLoadBalancer(t.Context(), lb)
				n.must(err)
			}
			n.must(n.DeleteEndpoint(t.Context(), old))
			if got := flow.Send().String(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
