// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package observed

import (
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// List is the result of listing HNS: the endpoints of the whole host and, unless EndpointsOnly is
// set, its load balancers.
type List struct {
	Endpoints     []hnslb.Endpoint
	LoadBalancers []hnslb.LoadBalancer
	// EndpointsOnly is true if load balancers were not listed.
	EndpointsOnly bool
}

// Touched holds the objects that calls were made for since a list was started. The list may have
// been made before or after the call, so it says nothing about them. The value is true if the last
// call succeeded, so that its effect is known.
type Touched struct {
	Addresses map[netip.Addr]bool
	Frontends map[hnslb.FrontendKey]bool
}

// NewTouched returns an empty Touched.
func NewTouched() Touched {
	return Touched{map[netip.Addr]bool{}, map[hnslb.FrontendKey]bool{}}
}

// Drift is the difference between a list and the view.
type Drift struct {
	// Frontends whose load balancer differs.
	Frontends []hnslb.FrontendKey
	// Health are frontends whose load balancer became degraded or healthy without another change.
	Health []hnslb.FrontendKey
	// Endpoints are the addresses of endpoints of ours that differ.
	Endpoints []netip.Addr
	// Addresses are those of all endpoints that differ. Endpoints of others come and go in normal
	// operation.
	Addresses []netip.Addr
	// ReturnedEndpoints and ReturnedFrontends are objects that HNS reported as deleted and still
	// lists.
	ReturnedEndpoints []netip.Addr
	ReturnedFrontends []hnslb.FrontendKey
	// Idle are the addresses of endpoints of ours that no load balancer references.
	Idle []netip.Addr
	// Incomplete is true if the list shows a change of an object whose call has failed meanwhile,
	// so that another list is needed.
	Incomplete bool
}

// Merge merges a list into a view in batches, so that other work can go on between them. The view
// may be changed meanwhile, if each changed object is in Touched.
type Merge struct {
	v       *View
	list    List
	touched Touched
	foreign map[hnslb.ID]bool
	// stages run in order, each until it returns that there is no more.
	stages []func(n int) (more bool)
	at     int
	// unseen are endpoints of the view that may be missing from the list.
	unseen []*Endpoint
	// fresh replaces the load balancers of the view at the end.
	fresh loadBalancers
	// health are unchanged load balancers that became degraded or healthy.
	health []*LoadBalancer
	drift  Drift
}

// Merge starts to merge a list.
func (v *View) Merge(list List, touched Touched) *Merge {
	v.generation++
	m := &Merge{v: v, list: list, touched: touched, foreign: map[hnslb.ID]bool{}, fresh: newLoadBalancers()}
	m.stages = []func(int) bool{m.takeEndpoints, m.findUnseen, m.sweep}
	if !list.EndpointsOnly {
		m.stages = append(m.stages, m.takeLoadBalancers, m.swap)
	}
	return m
}

// Step merges about n objects and returns whether there are more.
func (m *Merge) Step(n int) (more bool) {
	if !m.stages[0](n) {
		m.stages, m.at = m.stages[1:], 0
	}
	if len(m.stages) > 0 {
		return true
	}
	m.v.forgetDeleted()
	return false
}

// Drift returns the differences so far, in no particular order.
func (m *Merge) Drift() Drift { return m.drift }

// piece returns the next n items, and whether more follow.
func piece[T any](m *Merge, items []T, n int) ([]T, bool) {
	from, to := m.at, min(m.at+n, len(items))
	m.at = to
	return items[from:to], to < len(items)
}

func (m *Merge) takeEndpoints(n int) bool {
	items, more := piece(m, m.list.Endpoints, n)
	for _, in := range items {
		if in.Network == m.v.network.ID {
			m.takeEndpoint(in)
		} else {
			m.foreign[in.ID] = true
		}
	}
	return more
}

func (m *Merge) takeEndpoint(in hnslb.Endpoint) {
	v := m.v
	old := v.endpoints[in.ID]
	same := old != nil && v.same(old, in)
	for _, ip := range in.IPs {
		if known, touched := m.touched.Addresses[ip]; touched {
			// A local endpoint that was created at an address during a call for it is not announced
			// again.
			came := old == nil && !in.Remote
			m.drift.Incomplete = m.drift.Incomplete || !same && (!known || came)
			return // findUnseen and sweep skip it as well
		}
	}
	if same {
		old.seen = uint16(v.generation)
		if old.Ours && !old.InUse() {
			m.drift.Idle = append(m.drift.Idle, old.IP)
		}
		return
	}
	if old != nil {
		m.drop(old)
	}
	v.PutEndpoint(in)
	e := v.endpoints[in.ID]
	e.seen = uint16(v.generation)
	m.note(e)
	if m.returned(in.ID) {
		m.drift.ReturnedEndpoints = append(m.drift.ReturnedEndpoints, e.IP)
	}
}

// same returns whether an endpoint is as a list shows it.
func (v *View) same(e *Endpoint, in hnslb.Endpoint) bool {
	return slices.Equal(v.addresses(e), in.IPs) && e.ProviderAddress == in.ProviderAddress && e.Remote == in.Remote &&
		e.Ours == v.ownEndpoint(in) && e.SourceVIP == v.ownSourceVIP(in) &&
		e.VIP == (in.Remote && sameMAC(in.MAC, v.network.HostMAC)) && e.HasFormerMAC == v.hasFormerMAC(in)
}

func (m *Merge) note(e *Endpoint) {
	m.drift.Addresses = append(m.drift.Addresses, m.v.addresses(e)...)
	if e.Ours {
		m.drift.Endpoints = append(m.drift.Endpoints, e.IP)
	}
}

// returned returns whether an object was reported as deleted before the list was started.
func (m *Merge) returned(id hnslb.ID) bool {
	deleted, ok := m.v.deleted[id]
	return ok && deleted < m.v.generation
}

// drop removes an endpoint that HNS does not have, or has with other settings.
func (m *Merge) drop(e *Endpoint) {
	m.note(e)
	for _, lb := range e.referencedBy {
		m.drift.Frontends = append(m.drift.Frontends, lb.Key)
	}
	m.v.RemoveEndpoint(e.ID)
}

func (m *Merge) findUnseen(int) bool {
	for _, e := range m.v.endpoints {
		if e.seen != uint16(m.v.generation) {
			m.unseen = append(m.unseen, e)
		}
	}
	return false
}

// listed returns whether the list contains an endpoint. The search is linear, and needed for few.
func (m *Merge) listed(id hnslb.ID) bool {
	return slices.ContainsFunc(m.list.Endpoints, func(e hnslb.Endpoint) bool { return e.ID == id })
}

// sweep removes the endpoints that are missing from the list.
func (m *Merge) sweep(n int) bool {
	items, more := piece(m, m.unseen, n)
	for _, e := range items {
		if m.v.endpoints[e.ID] != e {
			continue
		}
		if known, touched := m.touched.Addresses[e.IP]; !touched {
			m.drop(e)
		} else if !known && !m.listed(e.ID) {
			m.drift.Incomplete = true
		}
	}
	return more
}

func (m *Merge) takeLoadBalancers(n int) bool {
	items, more := piece(m, m.list.LoadBalancers, n)
	for _, in := range items {
		m.takeLoadBalancer(in)
	}
	return more
}

// takeLoadBalancer adds a load balancer to fresh. The endpoints that it references are in use,
// whoever owns it. Only a load balancer with exactly one mapping can occupy a frontend that we
// need. One without mappings is half-made and carries no traffic.
func (m *Merge) takeLoadBalancer(in hnslb.LoadBalancer) {
	v := m.v
	if len(in.Mappings) == 0 {
		if v.ownHalfMade(in, m.foreign) {
			m.fresh.halfMade[in.ID] = v.loadBalancers.halfMade[in.ID] + 1
		}
		return
	}
	key, ok := in.Key()
	if !ok {
		m.fresh.others = append(m.fresh.others, v.convert(key, in))
		return
	}
	clean := noForeignEndpoints(in, m.foreign)
	ours := clean && v.ownSettings(settingsOf(in))
	old := v.loadBalancers.find(key, in.ID)
	lb := old
	if old == nil || old.uncertain || old.Ours != ours || !old.shows(in) {
		lb = v.convert(key, in)
		lb.Ours, lb.clean = ours, clean
		if old != nil {
			lb.outdated, lb.created = old.outdated, old.created
		}
		if old != nil && !old.uncertain && old.same(lb) {
			lb = old
		}
	}
	if lb.Degraded != in.Degraded {
		m.health = append(m.health, lb)
	}
	m.fresh.place(lb)
}

// swap replaces the load balancers of the view by the fresh ones, except at frontends that were
// touched.
func (m *Merge) swap(int) bool {
	v, old := m.v, m.v.loadBalancers
	for _, lb := range m.health {
		if _, touched := m.touched.Frontends[lb.Key]; !touched {
			lb.Degraded = !lb.Degraded
			m.drift.Health = append(m.drift.Health, lb.Key)
		}
	}
	for key, known := range m.touched.Frontends {
		m.drift.Incomplete = m.drift.Incomplete || !known && m.fresh.byFrontend[key] != old.byFrontend[key]
		m.fresh.takeFrontend(old, key)
	}
	for lb := range m.fresh.all {
		if old.find(lb.Key, lb.ID) != lb {
			m.drift.Frontends = append(m.drift.Frontends, lb.Key)
			if m.returned(lb.ID) {
				m.drift.ReturnedFrontends = append(m.drift.ReturnedFrontends, lb.Key)
			}
			v.addReferences(lb)
		}
	}
	for lb := range old.all {
		if m.fresh.find(lb.Key, lb.ID) != lb {
			m.drift.Frontends = append(m.drift.Frontends, lb.Key)
			v.removeReferences(lb)
		}
	}
	for _, lb := range old.others {
		v.removeReferences(lb)
	}
	for _, lb := range m.fresh.others {
		v.addReferences(lb)
	}
	v.loadBalancers = m.fresh
	return false
}
