// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"maps"
	"net/netip"
	"slices"
)

// edit is a change of one Service in the making.
type edit struct {
	g       *Generator
	s       *service
	before  int
	touched map[int]bool
	change  Change
	// written counts HNS endpoints that are made or deleted.
	written int
}

func (g *Generator) edit(s *service) *edit {
	return &edit{g: g, s: s, before: s.count(), touched: map[int]bool{}}
}

func (e *edit) add(slice int, one endpoint) {
	e.touched[slice] = true
	e.s.slices[slice] = append(e.s.slices[slice], one)
	e.appears(one)
}

func (e *edit) remove(slice, index int) {
	e.touched[slice] = true
	e.vanishes(e.s.slices[slice][index])
	e.s.slices[slice] = slices.Delete(e.s.slices[slice], index, index+1)
}

// replace puts another endpoint of the same kind in the place of one.
func (e *edit) replace(slice, index int) {
	e.touched[slice] = true
	old := e.s.slices[slice][index]
	e.vanishes(old)
	e.s.slices[slice][index] = e.g.newEndpoint(old.local, old.node)
	e.appears(e.s.slices[slice][index])
}

func (e *edit) appears(one endpoint) {
	if one.local {
		e.change.Appear = append(e.change.Appear, one.ips...)
	} else {
		e.written += len(one.ips)
	}
}

func (e *edit) vanishes(one endpoint) {
	if one.local {
		e.change.Vanish = append(e.change.Vanish, one.ips...)
	} else {
		e.written += len(one.ips)
	}
}

// done queues the change for the present time.
func (e *edit) done() {
	c := e.change
	c.At = e.g.clock
	for _, index := range slices.Sorted(maps.Keys(e.touched)) {
		c.Writes = append(c.Writes, e.s.sliceWrites(index, false)...)
	}
	c.Wants = e.s.wants(false)
	each := e.g.updateWrites
	if e.before == 0 || e.s.count() == 0 {
		each = 1 // a load balancer is made or deleted
	}
	c.NeededWrites = e.written + each*len(c.Wants)
	e.g.queue = append(e.g.queue, c)
}

// whole queues a Service that is made, or deleted, with all its endpoints.
func (g *Generator) whole(s *service, gone bool) {
	c := Change{At: g.clock, Writes: s.writes(gone), Wants: s.wants(gone)}
	c.NeededWrites = len(c.Wants)
	var local []netip.Addr
	for _, slice := range s.slices {
		for _, e := range slice {
			if e.local {
				local = append(local, e.ips...)
			} else {
				c.NeededWrites += len(e.ips)
			}
		}
	}
	if gone {
		c.Vanish = local
	} else {
		c.Appear = local
	}
	g.queue = append(g.queue, c)
}
