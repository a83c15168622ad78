// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package observed

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// LoadBalancer is an HNS load balancer as the view keeps it. Callers only read it.
type LoadBalancer struct {
	ID           hnslb.ID
	Key          hnslb.FrontendKey
	InternalPort uint16
	Shape        Shape
	Ours         bool
	// Degraded: the last list that says something of it showed it so. Written anew since, it
	// counts as healthy.
	Degraded bool
	// clean: it names no endpoint of another network.
	clean bool
	// created: this process made it, so it is known how HNS shows what it was asked for.
	created bool
	// outdated: the host's address changed since, which a node port has in its rules.
	outdated bool
	// doubtful: a change in place may have taken effect or not. Endpoints has those of both.
	doubtful bool
	// Endpoints in the order of HNS. dangling counts names of endpoints that HNS does
	// not have any more.
	Endpoints []*Endpoint
	dangling  int
}

// Dangling tells whether the load balancer names an endpoint that does not exist.
func (lb *LoadBalancer) Dangling() bool { return lb.dangling > 0 }

func (lb *LoadBalancer) same(o *LoadBalancer) bool {
	return lb.ID == o.ID && lb.InternalPort == o.InternalPort && lb.Shape == o.Shape &&
		lb.Ours == o.Ours && lb.clean == o.clean && lb.dangling == o.dangling && sameSet(lb.Endpoints, o.Endpoints)
}

// shows tells, without making anything, whether a list shows the load balancer as it is and
// in the same order.
func (lb *LoadBalancer) shows(in hnslb.LoadBalancer) bool {
	if lb.InternalPort != in.Mappings[0].InternalPort || lb.Shape != shapeOf(in) || lb.dangling > 0 {
		return false
	}
	return slices.EqualFunc(lb.Endpoints, in.Endpoints, func(e *Endpoint, id hnslb.ID) bool { return e.ID == id })
}

// balancers are load balancers in their places.
type balancers struct {
	// lbs hold a frontend.
	lbs map[hnslb.FrontendKey]*LoadBalancer
	// surplus are load balancers of ours whose frontend another one holds already. HNS
	// refuses such twins, but was seen to bring them back after a restart. They stand by
	// frontend, since there may be as many as there are load balancers.
	surplus map[hnslb.FrontendKey]map[hnslb.ID]*LoadBalancer
	// others are somebody else's and hold no frontend that we could need.
	others []*LoadBalancer
	// halves are half-made ones without port mappings, with the number of lists that they
	// were in. They hold no frontend and carry nothing.
	halves map[hnslb.ID]int
}

func newBalancers() balancers {
	return balancers{lbs: map[hnslb.FrontendKey]*LoadBalancer{}, surplus: map[hnslb.FrontendKey]map[hnslb.ID]*LoadBalancer{},
		halves: map[hnslb.ID]int{}}
}

// find returns the load balancer of an ID that claims a frontend, nil if there is none.
func (b *balancers) find(key hnslb.FrontendKey, id hnslb.ID) *LoadBalancer {
	if lb := b.lbs[key]; lb != nil && lb.ID == id {
		return lb
	}
	return b.surplus[key][id]
}

// place gives a load balancer its frontend. A foreign twin blocks the frontend; ours has to
// go then.
func (b *balancers) place(lb *LoadBalancer) {
	twin := b.lbs[lb.Key]
	switch {
	case twin == nil:
		b.lbs[lb.Key] = lb
	case twin.Ours && !lb.Ours:
		b.addSurplus(twin)
		b.lbs[lb.Key] = lb
	case lb.Ours:
		b.addSurplus(lb)
	default:
		b.others = append(b.others, lb)
	}
}

func (b *balancers) addSurplus(lb *LoadBalancer) {
	if b.surplus[lb.Key] == nil {
		b.surplus[lb.Key] = map[hnslb.ID]*LoadBalancer{}
	}
	b.surplus[lb.Key][lb.ID] = lb
}

// remove takes a load balancer out, and returns it.
func (b *balancers) remove(key hnslb.FrontendKey, id hnslb.ID) *LoadBalancer {
	lb := b.find(key, id)
	switch {
	case lb == nil:
	case b.lbs[key] == lb:
		delete(b.lbs, key)
	default:
		if delete(b.surplus[key], id); len(b.surplus[key]) == 0 {
			delete(b.surplus, key)
		}
	}
	return lb
}

// takeFrontend takes what o has of a frontend in place of what b has.
func (b *balancers) takeFrontend(o balancers, key hnslb.FrontendKey) {
	delete(b.lbs, key)
	delete(b.surplus, key)
	if lb := o.lbs[key]; lb != nil {
		b.lbs[key] = lb
	}
	if twins := o.surplus[key]; twins != nil {
		b.surplus[key] = maps.Clone(twins)
	}
}

// all yields the load balancers with a frontend, in no order.
func (b *balancers) all(yield func(*LoadBalancer) bool) {
	for _, lb := range b.lbs {
		if !yield(lb) {
			return
		}
	}
	for _, twins := range b.surplus {
		for _, lb := range twins {
			if !yield(lb) {
				return
			}
		}
	}
}

// LoadBalancer returns the load balancer that holds a frontend, ours or not, or nil.
func (v *View) LoadBalancer(key hnslb.FrontendKey) *LoadBalancer { return v.held.lbs[key] }

// LoadBalancers yields the load balancers that hold a frontend, in no order.
func (v *View) LoadBalancers(yield func(*LoadBalancer) bool) {
	for _, lb := range v.held.lbs {
		if !yield(lb) {
			return
		}
	}
}

// Surplus returns the load balancers of ours whose frontend another one holds, in order of
// their IDs.
func (v *View) Surplus(key hnslb.FrontendKey) []*LoadBalancer {
	if len(v.held.surplus[key]) == 0 {
		return nil
	}
	return slices.SortedFunc(maps.Values(v.held.surplus[key]), func(a, b *LoadBalancer) int { return cmp.Compare(a.ID, b.ID) })
}

// SurplusKeys yields the frontends that have surplus load balancers, in no order.
func (v *View) SurplusKeys(yield func(hnslb.FrontendKey) bool) {
	for key := range v.held.surplus {
		if !yield(key) {
			return
		}
	}
}

// HalfMade returns the load balancers without port mappings that were in two lists, so that
// nobody can be just making them. Failed creates leave such objects behind.
func (v *View) HalfMade() []hnslb.ID {
	var out []hnslb.ID
	for id, seen := range v.held.halves {
		if seen > 1 {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// AnyHalfMade tells whether there are load balancers without port mappings.
func (v *View) AnyHalfMade() bool { return len(v.held.halves) > 0 }

func (v *View) convert(key hnslb.FrontendKey, in hnslb.LoadBalancer) *LoadBalancer {
	lb := &LoadBalancer{
		ID:           in.ID,
		Key:          key,
		InternalPort: in.Mappings[0].InternalPort,
		Shape:        shapeOf(in),
		Degraded:     in.Degraded,
		Endpoints:    make([]*Endpoint, 0, len(in.Endpoints)),
	}
	v.flags.shown |= lb.Shape.MappingFlags
	for _, id := range in.Endpoints {
		if e := v.endpoints[id]; e != nil {
			lb.Endpoints = append(lb.Endpoints, e)
		} else {
			lb.dangling++
		}
	}
	return lb
}

// name makes the endpoints of a load balancer know it. An endpoint may have gone since the
// load balancer was converted.
func (v *View) name(lb *LoadBalancer) {
	lb.Endpoints = slices.DeleteFunc(lb.Endpoints, func(e *Endpoint) bool {
		gone := v.endpoints[e.ID] != e
		if gone {
			lb.dangling++
		}
		return gone
	})
	for _, e := range lb.Endpoints {
		e.listed = append(e.listed, lb)
	}
}

// unname is for a load balancer that HNS does not have any more.
func (v *View) unname(lb *LoadBalancer) {
	for _, e := range lb.Endpoints {
		e.listed = slices.DeleteFunc(e.listed, func(o *LoadBalancer) bool { return o == lb })
		if (e.Ours || e.SourceVIP) && !e.InUse() {
			v.freed = append(v.freed, e.IP)
		}
	}
}

// TakeFreed returns the addresses whose endpoints lost their last load balancer since the
// last call. Some may be in use again.
func (v *View) TakeFreed() []netip.Addr {
	freed := v.freed
	v.freed = nil
	return freed
}

// PutCreatedLoadBalancer remembers a load balancer that HNS just made, as HNS returned it;
// asked is what we sent, from which the view learns how this HNS shows it. It is false when
// HNS shows half of it, so that only a list can tell what there is.
func (v *View) PutCreatedLoadBalancer(asked, held hnslb.LoadBalancer) bool {
	if _, ok := held.Key(); !ok {
		return false
	}
	was, is := shapeOf(asked), shapeOf(held)
	v.shapes.learn(was, is)
	v.ignoreFlags(is.Flags&^was.Flags&^ownFlags, is.MappingFlags&^was.MappingFlags&^ownMappingFlags)
	put := v.PutLoadBalancer(held)
	key, _ := held.Key()
	v.held.lbs[key].created = true
	return put
}

// PutLoadBalancer remembers a load balancer of ours as HNS returned it. It is false when HNS
// shows half of it.
func (v *View) PutLoadBalancer(held hnslb.LoadBalancer) bool {
	key, ok := held.Key()
	if !ok {
		return false
	}
	lb := v.convert(key, held)
	lb.Ours, lb.clean = true, true
	if old := v.held.lbs[key]; old != nil {
		v.unname(old)
		lb.created = old.created && old.ID == lb.ID
	}
	v.name(lb)
	v.held.lbs[key] = lb
	return true
}

// Doubt says that a load balancer may have been changed into another one, or not. It counts
// as different from everything until it is written or listed again, and the endpoints of
// both are in use.
func (v *View) Doubt(key hnslb.FrontendKey, asked []hnslb.ID) {
	lb := v.held.lbs[key]
	if lb == nil {
		return
	}
	lb.doubtful = true
	for _, id := range asked {
		if e := v.endpoints[id]; e != nil && !slices.Contains(lb.Endpoints, e) {
			lb.Endpoints = append(lb.Endpoints, e)
			e.listed = append(e.listed, lb)
		}
	}
}

// RemoveLoadBalancer forgets a load balancer that HNS does not have any more.
func (v *View) RemoveLoadBalancer(id hnslb.ID, key hnslb.FrontendKey) {
	v.deleted[id] = v.generation
	delete(v.held.halves, id)
	if lb := v.held.remove(key, id); lb != nil {
		v.unname(lb)
	}
}
