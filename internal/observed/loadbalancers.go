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
	Settings     Settings
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
	// uncertain: a change in place may have taken effect or not. Endpoints has those of both.
	uncertain bool
	// Endpoints in the order of HNS. dangling counts names of endpoints that HNS does
	// not have any more.
	Endpoints []*Endpoint
	dangling  int
}

// Dangling tells whether the load balancer names an endpoint that does not exist.
func (lb *LoadBalancer) Dangling() bool { return lb.dangling > 0 }

func (lb *LoadBalancer) same(o *LoadBalancer) bool {
	return lb.ID == o.ID && lb.InternalPort == o.InternalPort && lb.Settings == o.Settings &&
		lb.Ours == o.Ours && lb.clean == o.clean && lb.dangling == o.dangling && sameSet(lb.Endpoints, o.Endpoints)
}

// shows tells, without making anything, whether a list shows the load balancer as it is and
// in the same order.
func (lb *LoadBalancer) shows(in hnslb.LoadBalancer) bool {
	if lb.InternalPort != in.Mappings[0].InternalPort || lb.Settings != settingsOf(in) || lb.dangling > 0 {
		return false
	}
	return slices.EqualFunc(lb.Endpoints, in.Endpoints, func(e *Endpoint, id hnslb.ID) bool { return e.ID == id })
}

// loadBalancers are load balancers in their places.
type loadBalancers struct {
	// byFrontend hold a frontend.
	byFrontend map[hnslb.FrontendKey]*LoadBalancer
	// surplus are load balancers of ours whose frontend another one holds already. HNS
	// refuses such twins, but was seen to bring them back after a restart. They stand by
	// frontend, since there may be as many as there are load balancers.
	surplus map[hnslb.FrontendKey]map[hnslb.ID]*LoadBalancer
	// others are somebody else's and hold no frontend that we could need.
	others []*LoadBalancer
	// halfMade are half-made ones without port mappings, with the number of lists that they
	// were in. They hold no frontend and carry nothing.
	halfMade map[hnslb.ID]int
}

func newLoadBalancers() loadBalancers {
	return loadBalancers{byFrontend: map[hnslb.FrontendKey]*LoadBalancer{}, surplus: map[hnslb.FrontendKey]map[hnslb.ID]*LoadBalancer{},
		halfMade: map[hnslb.ID]int{}}
}

// find returns the load balancer of an ID that claims a frontend, nil if there is none.
func (b *loadBalancers) find(key hnslb.FrontendKey, id hnslb.ID) *LoadBalancer {
	if lb := b.byFrontend[key]; lb != nil && lb.ID == id {
		return lb
	}
	return b.surplus[key][id]
}

// place gives a load balancer its frontend. A foreign twin blocks the frontend; ours has to
// go then.
func (b *loadBalancers) place(lb *LoadBalancer) {
	twin := b.byFrontend[lb.Key]
	switch {
	case twin == nil:
		b.byFrontend[lb.Key] = lb
	case twin.Ours && !lb.Ours:
		b.addSurplus(twin)
		b.byFrontend[lb.Key] = lb
	case lb.Ours:
		b.addSurplus(lb)
	default:
		b.others = append(b.others, lb)
	}
}

func (b *loadBalancers) addSurplus(lb *LoadBalancer) {
	if b.surplus[lb.Key] == nil {
		b.surplus[lb.Key] = map[hnslb.ID]*LoadBalancer{}
	}
	b.surplus[lb.Key][lb.ID] = lb
}

// remove takes a load balancer out, and returns it.
func (b *loadBalancers) remove(key hnslb.FrontendKey, id hnslb.ID) *LoadBalancer {
	lb := b.find(key, id)
	switch {
	case lb == nil:
	case b.byFrontend[key] == lb:
		delete(b.byFrontend, key)
	default:
		if delete(b.surplus[key], id); len(b.surplus[key]) == 0 {
			delete(b.surplus, key)
		}
	}
	return lb
}

// takeFrontend takes what o has of a frontend in place of what b has.
func (b *loadBalancers) takeFrontend(o loadBalancers, key hnslb.FrontendKey) {
	delete(b.byFrontend, key)
	delete(b.surplus, key)
	if lb := o.byFrontend[key]; lb != nil {
		b.byFrontend[key] = lb
	}
	if twins := o.surplus[key]; twins != nil {
		b.surplus[key] = maps.Clone(twins)
	}
}

// all yields the load balancers with a frontend, in no order.
func (b *loadBalancers) all(yield func(*LoadBalancer) bool) {
	for _, lb := range b.byFrontend {
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
func (v *View) LoadBalancer(key hnslb.FrontendKey) *LoadBalancer {
	return v.loadBalancers.byFrontend[key]
}

// LoadBalancers yields the load balancers that hold a frontend, in no order.
func (v *View) LoadBalancers(yield func(*LoadBalancer) bool) {
	for _, lb := range v.loadBalancers.byFrontend {
		if !yield(lb) {
			return
		}
	}
}

// Surplus returns the load balancers of ours whose frontend another one holds, in order of
// their IDs.
func (v *View) Surplus(key hnslb.FrontendKey) []*LoadBalancer {
	if len(v.loadBalancers.surplus[key]) == 0 {
		return nil
	}
	return slices.SortedFunc(maps.Values(v.loadBalancers.surplus[key]), func(a, b *LoadBalancer) int { return cmp.Compare(a.ID, b.ID) })
}

// SurplusKeys yields the frontends that have surplus load balancers, in no order.
func (v *View) SurplusKeys(yield func(hnslb.FrontendKey) bool) {
	for key := range v.loadBalancers.surplus {
		if !yield(key) {
			return
		}
	}
}

// HalfMade returns the load balancers without port mappings that were in two lists, so that
// nobody can be just making them. Failed creates leave such objects behind.
func (v *View) HalfMade() []hnslb.ID {
	var out []hnslb.ID
	for id, seen := range v.loadBalancers.halfMade {
		if seen > 1 {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// AnyHalfMade tells whether there are load balancers without port mappings.
func (v *View) AnyHalfMade() bool { return len(v.loadBalancers.halfMade) > 0 }

func (v *View) convert(key hnslb.FrontendKey, in hnslb.LoadBalancer) *LoadBalancer {
	lb := &LoadBalancer{
		ID:           in.ID,
		Key:          key,
		InternalPort: in.Mappings[0].InternalPort,
		Settings:     settingsOf(in),
		Degraded:     in.Degraded,
		Endpoints:    make([]*Endpoint, 0, len(in.Endpoints)),
	}
	v.flags.seen |= lb.Settings.MappingFlags
	for _, id := range in.Endpoints {
		if e := v.endpoints[id]; e != nil {
			lb.Endpoints = append(lb.Endpoints, e)
		} else {
			lb.dangling++
		}
	}
	return lb
}

// addReferences makes the endpoints of a load balancer know it. An endpoint may have gone since the
// load balancer was converted.
func (v *View) addReferences(lb *LoadBalancer) {
	lb.Endpoints = slices.DeleteFunc(lb.Endpoints, func(e *Endpoint) bool {
		gone := v.endpoints[e.ID] != e
		if gone {
			lb.dangling++
		}
		return gone
	})
	for _, e := range lb.Endpoints {
		e.referencedBy = append(e.referencedBy, lb)
	}
}

// removeReferences is for a load balancer that HNS does not have any more.
func (v *View) removeReferences(lb *LoadBalancer) {
	for _, e := range lb.Endpoints {
		e.referencedBy = slices.DeleteFunc(e.referencedBy, func(o *LoadBalancer) bool { return o == lb })
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
func (v *View) PutCreatedLoadBalancer(requested, returned hnslb.LoadBalancer) bool {
	if _, ok := returned.Key(); !ok {
		return false
	}
	requestedSettings, returnedSettings := settingsOf(requested), settingsOf(returned)
	v.learned.learn(requestedSettings, returnedSettings)
	v.ignoreFlags(returnedSettings.Flags&^requestedSettings.Flags&^ownFlags, returnedSettings.MappingFlags&^requestedSettings.MappingFlags&^ownMappingFlags)
	put := v.PutLoadBalancer(returned)
	key, _ := returned.Key()
	v.loadBalancers.byFrontend[key].created = true
	return put
}

// PutLoadBalancer remembers a load balancer of ours as HNS returned it. It is false when HNS
// shows half of it.
func (v *View) PutLoadBalancer(returned hnslb.LoadBalancer) bool {
	key, ok := returned.Key()
	if !ok {
		return false
	}
	lb := v.convert(key, returned)
	lb.Ours, lb.clean = true, true
	if old := v.loadBalancers.byFrontend[key]; old != nil {
		v.removeReferences(old)
		lb.created = old.created && old.ID == lb.ID
	}
	v.addReferences(lb)
	v.loadBalancers.byFrontend[key] = lb
	return true
}

// MarkUncertain says that a load balancer may have been changed into another one, or not. It counts
// as different from everything until it is written or listed again, and the endpoints of
// both are in use.
func (v *View) MarkUncertain(key hnslb.FrontendKey, requested []hnslb.ID) {
	lb := v.loadBalancers.byFrontend[key]
	if lb == nil {
		return
	}
	lb.uncertain = true
	for _, id := range requested {
		if e := v.endpoints[id]; e != nil && !slices.Contains(lb.Endpoints, e) {
			lb.Endpoints = append(lb.Endpoints, e)
			e.referencedBy = append(e.referencedBy, lb)
		}
	}
}

// RemoveLoadBalancer forgets a load balancer that HNS does not have any more.
func (v *View) RemoveLoadBalancer(id hnslb.ID, key hnslb.FrontendKey) {
	v.deleted[id] = v.generation
	delete(v.loadBalancers.halfMade, id)
	if lb := v.loadBalancers.remove(key, id); lb != nil {
		v.removeReferences(lb)
	}
}
