// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package observed

import (
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Shape is what of a load balancer is neither its frontend nor its backends.
type Shape struct {
	Flags        hnslb.LoadBalancerFlags
	MappingFlags hnslb.MappingFlags
	Distribution hnslb.Distribution
	SourceVIP    netip.Addr
}

func shapeOf(lb hnslb.LoadBalancer) Shape {
	m := lb.Mappings[0]
	return Shape{Flags: lb.Flags, MappingFlags: m.Flags, Distribution: m.Distribution, SourceVIP: lb.SourceVIP}
}

// shapes remembers how HNS shows what it was asked for, where the two differ.
//
// No Windows build is known to change a flag, and none is proven not to. Without this
// memory such a build would look like drift for ever, and every load balancer would be
// made anew at each comparison; with it, one is, and the rest follow.
type shapes map[Shape]Shape

func (s shapes) learn(asked, held Shape) {
	if asked != held {
		s[asked] = held
	}
}

// Match says how a load balancer in HNS differs from what is wanted.
type Match uint8

// The ways to differ.
const (
	// Equal: nothing to do.
	Equal Match = iota
	// InPlace: the endpoint list, internal port or source VIP differ. HNS with modify can
	// change them.
	InPlace
	// Different: a flag or the distribution differ, or a node port has the address of
	// yesterday in its rules. Only delete and create helps.
	Different
)

// Match compares a load balancer with the wanted one, whose endpoints are given in their
// own order.
func (v *View) Match(lb *LoadBalancer, want hnslb.LoadBalancer, endpoints []*Endpoint) Match {
	asked := shapeOf(want)
	held := lb.Shape
	if learned, ok := v.shapes[asked]; ok && learned == held {
		held = asked
	}
	same := held
	same.SourceVIP = asked.SourceVIP
	switch {
	case same != asked, lb.outdated:
		return Different
	case lb.doubtful, held != asked, lb.InternalPort != want.Mappings[0].InternalPort, lb.dangling > 0,
		!sameSet(lb.Endpoints, endpoints):
		return InPlace
	}
	return Equal
}

func sameSet(a, b []*Endpoint) bool {
	return len(a) == len(b) && slices.Equal(sortedIDs(a), sortedIDs(b))
}

func sortedIDs(eps []*Endpoint) []hnslb.ID {
	out := make([]hnslb.ID, 0, len(eps))
	for _, e := range eps {
		out = append(out, e.ID)
	}
	slices.Sort(out)
	return out
}
