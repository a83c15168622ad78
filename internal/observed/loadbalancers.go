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

// LoadBalancer is a load balancer in HNS. Callers must not change it.
type LoadBalancer struct {
	ID           hnslb.ID
	Key          hnslb.FrontendKey
	InternalPort uint16
	Settings     Settings
	Ours         bool
	// Degraded: the last list that covers it showed it as degraded. A load balancer that was
	// written since counts as healthy.
	Degraded bool
	// clean: it references no endpoint of another network.
	clean bool
	// created: this process created it, so it is known how HNS shows the requested settings.
	created bool
	// outdated: the address of the host has changed since it was created. The rules of a node port
	// contain the old one.
	outdated bool
	// uncertain: an update in place may or may not have taken effect. Endpoints contains the
	// endpoints of both versions.
	uncertain bool
	// Endpoints in the order of HNS. dangling counts references to endpoints that no longer exist
	// in HNS.
	Endpoints []*Endpoint
	dangling  int
}

// Dangling returns whether the load balancer references an endpoint that does not exist.
func (lb *LoadBalancer) Dangling() bool { return lb.dangling > 0 }

func (lb *LoadBalancer) same(o *LoadBalancer) bool {
	return lb.ID == o.ID && lb.InternalPort == o.InternalPort && lb.Settings == o.Settings &&
		lb.Ours == o.Ours && lb.clean == o.clean && lb.dangling == o.dangling && sameSet(lb.Endpoints, o.Endpoints)
}

// shows returns, without allocating, whether a list shows the load balancer unchanged and in the
// same order.
func (lb *LoadBalancer) shows(in hnslb.LoadBalancer) bool {
	if lb.InternalPort != in.Mappings[0].InternalPort || lb.Settings != settingsOf(in) || lb.dangling > 0 {
		return false
	}
	return slices.EqualFunc(lb.Endpoints, in.Endpoints, func(e *Endpoint, id hnslb.ID) bool { return e.ID == id })
}

// loadBalancers indexes the load balancers of HNS.
type loadBalancers struct {
	// byFrontend holds the load balancer that occupies each frontend.
	byFrontend map[hnslb.FrontendKey]*LoadBalancer
	// surplus holds load balancers of ours whose frontend another one occupies already. HNS refuses
	// to create such duplicates, but was observed to restore them after a restart. They are indexed
	// by frontend, since there may be as many as there are load balancers.
	surplus map[hnslb.FrontendKey]map[hnslb.ID]*LoadBalancer
	// others holds load balancers of other programs that occupy no frontend that we could need.
	others []*LoadBalancer
	// halfMade holds load balancers without port mappings, with the number of lists that contained
	// them. They occupy no frontend and carry no traffic.
	halfMade map[hnslb.ID]int
}

func newLoadBalancers() loadBalancers {
	return loadBalancers{byFrontend: map[hnslb.FrontendKey]*LoadBalancer{}, surplus: map[hnslb.FrontendKey]map[hnslb.ID]*LoadBalancer{},
		halfMade: map[hnslb.ID]int{}}
}

// find returns the load balancer with an ID at a frontend, nil if there is none.
func (b *loadBalancers) find(key hnslb.FrontendKey, id hnslb.ID) *LoadBalancer {
	if lb := b.byFrontend[key]; lb != nil && lb.ID == id {
		return lb
	}
	return b.surplus[key][id]
}

// place indexes a load balancer by its frontend. If both another program and hnsproxy have one
// there, that of the other program blocks the frontend, and ours is surplus.
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

// remove removes a load balancer and returns it.
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

// takeFrontend replaces the load balancers at a frontend by those in o.
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

// all yields the load balancers with a frontend, in no particular order.
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

// LoadBalancer returns the load balancer that occupies a frontend, whether or not it is ours, nil
// for none.
func (v *View) LoadBalancer(key hnslb.FrontendKey) *LoadBalancer {
	return v.loadBalancers.byFrontend[key]
}

// LoadBalancers yields the load balancers that occupy a frontend, in no particular order.
func (v *View) LoadBalancers(yield func(*LoadBalancer) bool) {
	for _, lb := range v.loadBalancers.byFrontend {
		if !yield(lb) {
			return
		}
	}
}

// Surplus returns the load balancers of ours at a frontend that another one occupies, ordered by
// ID.
func (v *View) Surplus(key hnslb.FrontendKey) []*LoadBalancer {
	if len(v.loadBalancers.surplus[key]) == 0 {
		return nil
	}
	return slices.SortedFunc(maps.Values(v.loadBalancers.surplus[key]), func(a, b *LoadBalancer) int { return cmp.Compare(a.ID, b.ID) })
}

// SurplusKeys yields the frontends that have surplus load balancers, in no particular order.
func (v *View) SurplusKeys(yield func(hnslb.FrontendKey) bool) {
	for key := range v.loadBalancers.surplus {
		if !yield(key) {
			return
		}
	}
}

// HalfMade returns the load balancers without port mappings that were in two lists, so that no
// other program can be creating them right now. Failed creates leave such objects behind.
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

// AnyHalfMade returns whether there are load balancers without port mappings.
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

// addReferences records a load balancer at its endpoints. An endpoint may have been removed since
// the load balancer was converted.
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

// removeReferences removes a load balancer that no longer exists in HNS from its endpoints.
func (v *View) removeReferences(lb *LoadBalancer) {
	for _, e := range lb.Endpoints {
		e.referencedBy = slices.DeleteFunc(e.referencedBy, func(o *LoadBalancer) bool { return o == lb })
		if (e.Ours || e.SourceVIP) && !e.InUse() {
			v.freed = append(v.freed, e.IP)
		}
	}
}

// TakeFreed returns the addresses whose endpoints have lost their last load balancer since the last
// call. Some may be referenced again.
func (v *View) TakeFreed() []netip.Addr {
	freed := v.freed
	v.freed = nil
	return freed
}

// PutCreatedLoadBalancer stores a load balancer that HNS created, as HNS returned it. From
// requested, which was sent, the view learns how this HNS shows settings. It returns false if HNS
// returned the load balancer only in part, so that a list is needed.
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

// PutLoadBalancer stores a load balancer of ours as HNS returned it. It returns false if HNS
// returned it only in part.
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

// MarkUncertain records that an update of a load balancer may or may not have taken effect. Until
// it is written or listed again, it matches nothing, and the endpoints of both versions count as
// referenced.
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

// RemoveLoadBalancer removes a load balancer that no longer exists in HNS.
func (v *View) RemoveLoadBalancer(id hnslb.ID, key hnslb.FrontendKey) {
	v.deleted[id] = v.generation
	delete(v.loadBalancers.halfMade, id)
	if lb := v.loadBalancers.remove(key, id); lb != nil {
		v.removeReferences(lb)
	}
}
