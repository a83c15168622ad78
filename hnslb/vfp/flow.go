// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package vfp

import (
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Flow is a flow of packets that VFP remembers: later packets go where the first one went,
// for as long as VFP holds on to it. How long that is (docs/hns.md, Flows):
//
//   - The deletion of the load balancer ends it [B: k8s issue 113841].
//   - After a change in place it stays where it is if the VIP is marked as external, and is
//     hashed anew otherwise [A: k8s issue 113842]; see Quirks.UDPFlowsStay.
type Flow struct {
	packet Packet

	// Where it goes: the load balancer, its endpoints at that time, and the chosen one.
	balancer  hnslb.ID
	endpoints []hnslb.ID
	chosen    hnslb.ID
}

// NewFlow begins a flow with the packets of which p is the first. Nothing is sent yet.
func NewFlow(p Packet) *Flow { return &Flow{packet: p} }

// Send answers where the next packet of the flow goes on a host that is now as m says.
func (f *Flow) Send(m Model) Verdict {
	t := newTracer(m, f.packet)
	outcomes, d := t.outcomes()
	if t.b == nil || len(outcomes) != len(t.b.Endpoints) {
		f.balancer = ""
		return outcomes[0] // no load balancer, or one reason for all of its endpoints
	}
	if !f.remembered(t) {
		i := hashOf(f.packet, d) % uint64(len(outcomes))
		f.balancer, f.endpoints, f.chosen = t.b.ID, slices.Clone(t.b.Endpoints), t.b.Endpoints[i]
	}
	v := t.backend(f.chosen)
	if !slices.Contains(t.b.Endpoints, f.chosen) {
		v.Reason = "flow of an endpoint that the load balancer does not name any more"
	}
	return v
}

// remembered tells whether the flow goes on as it was.
func (f *Flow) remembered(t *tracer) bool {
	switch {
	case f.balancer != t.b.ID:
		return false
	case slices.Equal(f.endpoints, t.b.Endpoints):
		return true
	}
	return t.mapping.Flags&hnslb.VIPExternal != 0 || f.packet.Protocol == hnslb.UDP && t.profile.Quirks.UDPFlowsStay
}
