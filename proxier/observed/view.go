// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package observed

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/multimap"
)

// View is what HNS holds, as far as we know. HNS IDs live here and nowhere else (law 4).
// It is not safe for concurrent use.
//
// A View is trusted while it is not stale: it becomes so by a call of unknown outcome,
// and is read again before anything is decided (law 6).
type View struct {
	network   hnslb.Network
	sourceVIP netip.Addr
	endpoints map[hnslb.ID]*Endpoint
	byIP      multimap.Map[netip.Addr, *Endpoint]
	lbs       map[hnslb.FrontendKey]*LoadBalancer
	// surplus are load balancers of ours whose frontend another one holds already. HNS
	// refuses such twins, but was seen to bring them back after a restart. They stand by
	// frontend, since there may be as many as there are load balancers.
	surplus map[hnslb.FrontendKey]map[hnslb.ID]*LoadBalancer
	shapes  shapes
	// freed are addresses of our endpoints that no load balancer names any more.
	freed []netip.Addr
	own   int

	staleEndpoints, staleLoadBalancers bool
}

// Endpoint is an HNS endpoint as the view keeps it. Callers only read it.
type Endpoint struct {
	ID hnslb.ID
	IP netip.Addr
	// ProviderAddress of a remote endpoint on an overlay.
	ProviderAddress netip.Addr
	Remote          bool
	Ours            bool
	// VIP tells that it carries the host's MAC, as the endpoint of a cluster IP does.
	VIP bool
	// listed are the load balancers that name it, as HNS holds them.
	listed []*LoadBalancer
	// second is the other address of a dual-stack endpoint, nil for most.
	second *netip.Addr
}

// InUse tells whether some load balancer in HNS names the endpoint.
func (e *Endpoint) InUse() bool { return len(e.listed) > 0 }

// LoadBalancer is an HNS load balancer as the view keeps it. Callers only read it.
type LoadBalancer struct {
	ID           hnslb.ID
	Key          hnslb.FrontendKey
	InternalPort uint16
	Shape        Shape
	Ours         bool
	// outdated: the host's address changed since, which a node port has in its rules.
	outdated bool
	// Endpoints in the order of HNS. dangling counts names of endpoints that HNS does
	// not have any more.
	Endpoints []*Endpoint
	dangling  int
}

// Dangling tells whether the load balancer names an endpoint that does not exist.
func (lb *LoadBalancer) Dangling() bool { return lb.dangling > 0 }

// Drift is what a fresh list found different from what the view held.
type Drift struct {
	// Frontends whose load balancer differs, in order.
	Frontends []hnslb.FrontendKey
	// Endpoints whose HNS endpoint differs, in order.
	Endpoints []netip.Addr
}

// New makes an empty, stale view: nothing is known yet. sourceVIP is an address whose
// endpoint is never ours to delete; it may be the zero Addr.
func New(sourceVIP netip.Addr) *View {
	v := &View{sourceVIP: sourceVIP, shapes: shapes{}}
	v.clear()
	v.MarkStale()
	return v
}

func (v *View) clear() {
	v.endpoints = map[hnslb.ID]*Endpoint{}
	v.byIP = multimap.New[netip.Addr, *Endpoint]()
	v.lbs = map[hnslb.FrontendKey]*LoadBalancer{}
	v.surplus = map[hnslb.FrontendKey]map[hnslb.ID]*LoadBalancer{}
	v.own = 0
}

// Stale tells whether HNS must be listed before anything is decided.
func (v *View) Stale() bool { return v.staleEndpoints || v.staleLoadBalancers }

// MarkStale says that the view may not be what HNS holds.
func (v *View) MarkStale() { v.staleEndpoints, v.staleLoadBalancers = true, true }

// Network returns the network that the view is of.
func (v *View) Network() hnslb.Network { return v.network }

// SetNetwork says which network the view is of. Another ID means that the endpoints of
// the old one are gone, so everything must be listed again. With another management IP,
// which can change at any time (k8s issue 75561), node ports have to be made anew: their
// rules in VFP keep the old one.
func (v *View) SetNetwork(n hnslb.Network) {
	if v.network.ID != n.ID || v.network.HostMAC != n.HostMAC {
		v.MarkStale()
	} else if v.network.ManagementIP != n.ManagementIP {
		for _, lb := range v.lbs {
			lb.outdated = lb.outdated || lb.Key.NodePort()
		}
	}
	v.network = n
}

// Replace takes a fresh list of the whole host and returns what was different from what
// the view held.
func (v *View) Replace(eps []hnslb.Endpoint, lbs []hnslb.LoadBalancer) Drift {
	old := *v
	v.clear()
	foreign := map[hnslb.ID]bool{}
	for _, e := range eps {
		if e.Network == v.network.ID {
			v.PutEndpoint(e)
		} else {
			foreign[e.ID] = true
		}
	}
	for _, lb := range lbs {
		v.putListed(lb, foreign)
	}
	for key, lb := range old.lbs {
		if now := v.lbs[key]; lb.outdated && now != nil && now.ID == lb.ID {
			now.outdated = true
		}
	}
	v.staleEndpoints, v.staleLoadBalancers = false, false
	return old.drift(v)
}

// putListed stores a load balancer from a list. Whoever it belongs to, the endpoints that
// it names are in use. Only one with exactly one mapping holds a frontend that we could
// need; a half-made one, without any, sends nothing to anybody and is left alone.
func (v *View) putListed(in hnslb.LoadBalancer, foreign map[hnslb.ID]bool) {
	if len(in.Mappings) == 0 {
		return
	}
	key, ok := in.Key()
	lb := v.convert(key, in)
	lb.name()
	if !ok {
		return
	}
	lb.Ours = ownLoadBalancer(in, foreign)
	twin := v.lbs[key]
	switch {
	case twin == nil:
		v.lbs[key] = lb
	case twin.Ours && !lb.Ours:
		// A foreign twin blocks the frontend; ours has to go.
		v.addSurplus(twin)
		v.lbs[key] = lb
	case lb.Ours:
		v.addSurplus(lb)
	}
}

func (v *View) addSurplus(lb *LoadBalancer) {
	if v.surplus[lb.Key] == nil {
		v.surplus[lb.Key] = map[hnslb.ID]*LoadBalancer{}
	}
	v.surplus[lb.Key][lb.ID] = lb
}

func (v *View) convert(key hnslb.FrontendKey, in hnslb.LoadBalancer) *LoadBalancer {
	m := in.Mappings[0]
	lb := &LoadBalancer{
		ID:           in.ID,
		Key:          key,
		InternalPort: m.InternalPort,
		Shape:        shapeOf(in),
		Endpoints:    make([]*Endpoint, 0, len(in.Endpoints)),
	}
	for _, id := range in.Endpoints {
		if e := v.endpoints[id]; e != nil {
			lb.Endpoints = append(lb.Endpoints, e)
		} else {
			lb.dangling++
		}
	}
	return lb
}

// name makes the endpoints of a load balancer know it.
func (lb *LoadBalancer) name() {
	for _, e := range lb.Endpoints {
		e.listed = append(e.listed, lb)
	}
}

// unname is for a load balancer that HNS does not have any more.
func (v *View) unname(lb *LoadBalancer) {
	for _, e := range lb.Endpoints {
		e.listed = slices.DeleteFunc(e.listed, func(o *LoadBalancer) bool { return o == lb })
		if e.Ours && !e.InUse() {
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

// PutLoadBalancer remembers a load balancer of ours that HNS just took, as HNS returned
// it; asked is what we sent, from which the view learns how this HNS shows it.
func (v *View) PutLoadBalancer(asked, held hnslb.LoadBalancer) {
	key, ok := held.Key()
	if !ok {
		// HNS took it but shows half of it: only a list can tell.
		v.staleLoadBalancers = true
		return
	}
	v.shapes.learn(shapeOf(asked), shapeOf(held))
	if old := v.lbs[key]; old != nil {
		v.unname(old)
	}
	lb := v.convert(key, held)
	lb.Ours = true
	lb.name()
	v.lbs[key] = lb
}

// RemoveLoadBalancer forgets a load balancer that HNS does not have any more.
func (v *View) RemoveLoadBalancer(id hnslb.ID, key hnslb.FrontendKey) {
	if twin := v.surplus[key][id]; twin != nil {
		if delete(v.surplus[key], id); len(v.surplus[key]) == 0 {
			delete(v.surplus, key)
		}
		v.unname(twin)
	}
	if lb := v.lbs[key]; lb != nil && lb.ID == id {
		delete(v.lbs, key)
		v.unname(lb)
	}
}

// PutEndpoint remembers an endpoint of the view's network.
func (v *View) PutEndpoint(in hnslb.Endpoint) {
	e := &Endpoint{
		ID:              in.ID,
		ProviderAddress: in.ProviderAddress,
		Remote:          in.Remote,
		VIP:             in.Remote && sameMAC(in.MAC, v.network.HostMAC),
		Ours:            v.ownEndpoint(in),
	}
	if len(in.IPs) > 0 {
		e.IP = in.IPs[0]
	}
	if len(in.IPs) > 1 {
		e.second = &in.IPs[1]
	}
	v.endpoints[e.ID] = e
	if e.Ours {
		v.own++
	}
	for _, ip := range e.addresses() {
		v.byIP.Add(ip, e)
	}
}

// RemoveEndpoint forgets an endpoint that HNS does not have any more.
func (v *View) RemoveEndpoint(id hnslb.ID) {
	e := v.endpoints[id]
	if e == nil {
		return
	}
	delete(v.endpoints, id)
	if e.Ours {
		v.own--
	}
	for _, ip := range e.addresses() {
		v.byIP.Remove(ip, e)
	}
	for _, lb := range e.listed {
		lb.Endpoints = slices.DeleteFunc(lb.Endpoints, func(o *Endpoint) bool { return o == e })
		lb.dangling++
	}
}

func (e *Endpoint) addresses() []netip.Addr {
	out := make([]netip.Addr, 0, 2)
	if e.IP.IsValid() {
		out = append(out, e.IP)
	}
	if e.second != nil {
		out = append(out, *e.second)
	}
	return out
}

// LoadBalancer returns the load balancer that holds a frontend, ours or not, or nil.
func (v *View) LoadBalancer(key hnslb.FrontendKey) *LoadBalancer { return v.lbs[key] }

// LoadBalancers yields the load balancers that hold a frontend, in no order.
func (v *View) LoadBalancers(yield func(*LoadBalancer) bool) {
	for _, lb := range v.lbs {
		if !yield(lb) {
			return
		}
	}
}

// Surplus returns the load balancers of ours on a frontend that another one holds, by ID.
func (v *View) Surplus(key hnslb.FrontendKey) []*LoadBalancer {
	byID := func(a, b *LoadBalancer) int { return cmp.Compare(a.ID, b.ID) }
	return slices.SortedFunc(maps.Values(v.surplus[key]), byID)
}

// SurplusKeys yields the frontends that have surplus load balancers, in no order.
func (v *View) SurplusKeys(yield func(hnslb.FrontendKey) bool) {
	for key := range v.surplus {
		if !yield(key) {
			return
		}
	}
}

// Endpoint returns the endpoint that stands for an address: the local one when there is
// one, since Windows Server 2019 and 2022 let a remote twin live beside it.
func (v *View) Endpoint(ip netip.Addr) *Endpoint {
	var best *Endpoint
	for e := range v.byIP.All(ip) {
		if !e.Remote {
			return e
		}
		if best == nil {
			best = e
		}
	}
	return best
}

// Own yields the endpoints of ours, in no order.
func (v *View) Own(yield func(*Endpoint) bool) {
	for _, e := range v.endpoints {
		if e.Ours && !yield(e) {
			return
		}
	}
}

// OwnEndpoints returns how many endpoints of ours HNS holds.
func (v *View) OwnEndpoints() int { return v.own }

// At returns the endpoints of ours that stand for an address.
func (v *View) At(ip netip.Addr) []*Endpoint {
	var out []*Endpoint
	for e := range v.byIP.All(ip) {
		if e.Ours {
			out = append(out, e)
		}
	}
	return out
}
