// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"net/netip"
	"slices"
)

// slotted is an object that remembers its place in an order.
type slotted interface {
	comparable
	setSlot(int)
	getSlot() int
}

// order lists objects in the same way on every run with the same calls, and adds and
// removes in constant time. Removal moves the last object into the gap: HNS promises no
// order of enumeration either.
type order[T slotted] struct{ items []T }

func (o *order[T]) add(x T) {
	x.setSlot(len(o.items))
	o.items = append(o.items, x)
}

func (o *order[T]) remove(x T) {
	var none T
	last := len(o.items) - 1
	moved := o.items[last]
	o.items[x.getSlot()] = moved
	moved.setSlot(x.getSlot())
	o.items[last] = none
	o.items = o.items[:last]
}

// ipIndex finds the endpoints that have an address. Almost every address has one
// endpoint; the others of an address that has several live in a second map, so that the
// first stays small.
type ipIndex struct {
	first map[netip.Addr]*endpoint
	more  map[netip.Addr][]*endpoint
}

func newIPIndex() ipIndex {
	return ipIndex{first: map[netip.Addr]*endpoint{}, more: map[netip.Addr][]*endpoint{}}
}

func (x ipIndex) add(ip netip.Addr, ep *endpoint) {
	if x.first[ip] == nil {
		x.first[ip] = ep
		return
	}
	x.more[ip] = append(x.more[ip], ep)
}

func (x ipIndex) remove(ip netip.Addr, ep *endpoint) {
	rest := x.more[ip]
	if x.first[ip] == ep {
		if len(rest) == 0 {
			delete(x.first, ip)
			return
		}
		x.first[ip] = rest[0]
		rest = rest[1:]
	} else if i := slices.Index(rest, ep); i >= 0 {
		rest = slices.Delete(rest, i, i+1)
	}
	if len(rest) == 0 {
		delete(x.more, ip)
		return
	}
	x.more[ip] = rest
}

// find returns the endpoint with that address for which want says yes.
func (x ipIndex) find(ip netip.Addr, want func(*endpoint) bool) *endpoint {
	if ep := x.first[ip]; ep == nil || want(ep) {
		return ep
	}
	for _, ep := range x.more[ip] {
		if want(ep) {
			return ep
		}
	}
	return nil
}
