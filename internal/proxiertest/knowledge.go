// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxiertest

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// knowledge is what a proxy can know of HNS: the last lists, and the answers to its own
// calls since. What others did since then it cannot know, so acting on it is no breach.
type knowledge struct {
	network   hnslb.Network
	endpoints map[hnslb.ID]hnslb.Endpoint
	balancers map[hnslb.ID]hnslb.LoadBalancer
	// born says since which write an endpoint is known, refused at which write an address
	// was first denied an endpoint since it last lost one, vacated at which write it lost
	// it.
	born             map[hnslb.ID]int
	refused, vacated map[netip.Addr]int

	endpointsListed, balancersListed bool
	// takeBalancers takes in the load balancers that were listed; nil when that is done. The list
	// was begun after takenFrom answers.
	takeBalancers func()
	takenFrom     int
	// answers counts the answers to writes, answered says after which one an object was
	// written or deleted last.
	answers  int
	answered map[hnslb.ID]int
	// networkSince is when the network was first seen, lost when a list did not name an
	// endpoint any more.
	networkSince time.Time
	lost         map[hnslb.ID]time.Time
	// seen is when an object was first seen: a list that is on its way to the proxy may be
	// followed by another one before it counts.
	seen map[hnslb.ID]time.Time
	// creating counts the calls in flight for an address. vague are endpoints that were listed
	// meanwhile, for the list says nothing of such an address, or before their network was known.
	creating map[netip.Addr]int
	vague    map[hnslb.ID]bool
	// deleted are endpoints that HNS reported as deleted, rightly or not.
	deleted map[hnslb.ID]bool
	// named are all objects that a list or an answer ever named.
	named map[hnslb.ID]bool
	// doubts are the objects of which a call may have taken effect or not, until they are
	// listed (law 6).
	doubts map[string]bool

	modify, modifyFailed bool
	// hostMACs are those that the host ever had.
	hostMACs map[string]bool
	// lostLocals say when a local endpoint at an address was known last.
	lostLocals map[netip.Addr]time.Time
	// short are frontends whose change in place left the internal port or the source VIP as it
	// was: they have to be re-created.
	short map[hnslb.FrontendKey]bool
}

// setNetwork takes what the network is now.
func (k *knowledge) setNetwork(n hnslb.Network) {
	if k.network.ID != "" && k.network.ID != n.ID {
		k.networkSince = time.Now()
	}
	k.network = n
	k.hostMACs[strings.ToUpper(n.HostMAC)] = true
	for _, a := range n.Adapters {
		k.hostMACs[strings.ToUpper(a.MAC)] = true
	}
}

// lostLocal notes when a local endpoint was known last.
func (k *knowledge) lostLocal(e hnslb.Endpoint) {
	for _, ip := range e.IPs {
		if !e.Remote {
			k.lostLocals[ip] = time.Now()
		}
	}
}

// hasLocal tells whether a local endpoint with an address is known, or went a moment ago.
func (k *knowledge) hasLocal(ip netip.Addr) bool {
	if onItsWay(k.lostLocals[ip]) {
		return true
	}
	for _, e := range k.endpoints {
		if !e.Remote && slices.Contains(e.IPs, ip) {
			return true
		}
	}
	return false
}

// keepShort notes whether HNS made a load balancer what it was asked for, but for its
// endpoints.
func (k *knowledge) keepShort(asked, held hnslb.LoadBalancer) {
	key, ok := asked.Key()
	if !ok || len(held.Mappings) != 1 {
		return
	}
	k.short[key] = asked.SourceVIP != held.SourceVIP || asked.Mappings[0].InternalPort != held.Mappings[0].InternalPort
}

func newKnowledge() knowledge {
	return knowledge{
		endpoints: map[hnslb.ID]hnslb.Endpoint{}, balancers: map[hnslb.ID]hnslb.LoadBalancer{},
		answered: map[hnslb.ID]int{}, creating: map[netip.Addr]int{}, vague: map[hnslb.ID]bool{}, seen: map[hnslb.ID]time.Time{}, deleted: map[hnslb.ID]bool{}, named: map[hnslb.ID]bool{}, hostMACs: map[string]bool{}, short: map[hnslb.FrontendKey]bool{}, lostLocals: map[netip.Addr]time.Time{}, doubts: map[string]bool{}, lost: map[hnslb.ID]time.Time{}, born: map[hnslb.ID]int{}, refused: map[netip.Addr]int{}, vacated: map[netip.Addr]int{},
	}
}

// listed tells whether HNS was ever listed.
func (k *knowledge) listed() bool {
	return k.endpointsListed && k.balancersListed
}

// setEndpoints takes a list that was begun after so many answers and came after so many
// writes. It says nothing of what was answered in between.
func (k *knowledge) setEndpoints(eps []hnslb.Endpoint, begun, writes int) {
	for id, e := range k.endpoints {
		if k.answered[id] <= begun {
			delete(k.endpoints, id)
			k.lost[id] = time.Now()
			k.lostLocal(e)
		}
	}
	for _, e := range eps {
		if k.answered[e.ID] <= begun {
			busy := slices.ContainsFunc(e.IPs, func(ip netip.Addr) bool { return k.creating[ip] > 0 })
			unsure := busy || e.Network != k.network.ID
			k.vague[e.ID] = unsure && (k.vague[e.ID] || k.seen[e.ID].IsZero())
			k.putEndpoint(e, writes)
		}
	}
	k.endpointsListed = true
	k.settleDoubt(true)
	if k.takeBalancers != nil {
		k.takeBalancers()
	}
}

func (k *knowledge) putEndpoint(e hnslb.Endpoint, writes int) {
	k.endpoints[e.ID], k.named[e.ID] = e, true
	if _, ok := k.born[e.ID]; !ok {
		k.born[e.ID] = writes
	}
	k.see(e.ID)
}

// begin notes that a call for an endpoint begins, 1, or ends, -1.
func (k *knowledge) begin(e hnslb.Endpoint, by int) {
	for _, ip := range e.IPs {
		k.creating[ip] += by
	}
}

func (k *knowledge) see(id hnslb.ID) {
	if k.seen[id].IsZero() {
		k.seen[id] = time.Now()
	}
}

func (k *knowledge) refuse(ip netip.Addr, write int) {
	if _, ok := k.refused[ip]; !ok {
		k.refused[ip] = write
	}
}

// dropEndpoint forgets an endpoint that is gone since some write.
func (k *knowledge) dropEndpoint(id hnslb.ID, write int) {
	k.lostLocal(k.endpoints[id])
	for _, ip := range k.endpoints[id].IPs {
		delete(k.refused, ip)
		k.vacated[ip] = write
	}
	delete(k.endpoints, id)
}

// available tells whether an endpoint could have been named at some write: it was known
// then, or it could have been made: nothing else stood at its address, nobody had tried in
// vain, and nobody had to wait for a route to it.
func (k *knowledge) available(id hnslb.ID, write int) bool {
	e := k.endpoints[id]
	if k.born[id] <= write || len(e.IPs) == 0 {
		return true
	}
	denied, ok := k.refused[e.IPs[0]]
	return e.Remote && k.routed(e.IPs[0]) && k.vacated[e.IPs[0]] <= write && (!ok || denied > write)
}

// routed tells whether the network has a route to an address. On an overlay a proxy may wait for it.
func (k *knowledge) routed(ip netip.Addr) bool {
	return !k.network.IsOverlay() ||
		slices.ContainsFunc(k.network.Subnets, func(p netip.Prefix) bool { return p.Contains(ip) }) ||
		slices.ContainsFunc(k.network.Remotes, func(r hnslb.RemoteSubnet) bool { return r.Prefix.Contains(ip) })
}

// setBalancers takes a list that was begun after so many answers. It counts from the next
// list of endpoints on: the proxy lists both, one after the other, and takes both together.
// Of one that came late the proxy may know or not, so that it only takes away. Of lists that come
// at once, the one that was begun last counts.
func (k *knowledge) setBalancers(lbs []hnslb.LoadBalancer, begun int, late bool) {
	for _, lb := range lbs {
		k.named[lb.ID] = true
	}
	if k.takeBalancers != nil && begun < k.takenFrom {
		return
	}
	k.takenFrom = begun
	k.takeBalancers = func() {
		k.takeBalancers = nil
		if late {
			lbs = slices.DeleteFunc(slices.Clone(lbs), func(lb hnslb.LoadBalancer) bool { _, known := k.balancers[lb.ID]; return !known })
		}
		k.replaceBalancers(lbs, begun)
		k.balancersListed = true
		k.settleDoubt(false)
	}
}

// replaceBalancers takes a list that was begun after so many answers. It says nothing of what was
// answered in between, nor of who held a frontend that was given to another since.
func (k *knowledge) replaceBalancers(lbs []hnslb.LoadBalancer, begun int) {
	given := map[hnslb.FrontendKey]bool{}
	for id, lb := range k.balancers {
		if key, one := lb.Key(); k.answered[id] <= begun {
			delete(k.balancers, id)
		} else if one {
			given[key] = true
		}
	}
	for _, lb := range lbs {
		if key, _ := lb.Key(); k.answered[lb.ID] <= begun && !given[key] {
			k.balancers[lb.ID] = lb
			k.see(lb.ID)
		}
	}
}

// answer notes that a write of an object was answered.
func (k *knowledge) answer(id hnslb.ID) {
	k.answers++
	k.answered[id], k.named[id] = k.answers, true
	k.see(id)
}

// settleDoubt ends the doubts about endpoints, whose names are addresses, or about load
// balancers.
func (k *knowledge) settleDoubt(endpoints bool) {
	for object := range k.doubts {
		if _, err := netip.ParseAddr(object); (err == nil) == endpoints {
			delete(k.doubts, object)
		}
	}
}

// endpointName returns the address of an endpoint, or its ID when it is not known.
func (k *knowledge) endpointName(id hnslb.ID) string {
	if e, ok := k.endpoints[id]; ok {
		return e.ObjectName()
	}
	return string(id)
}

// holder returns the load balancer that is known to hold a frontend, nil if there is none.
func (k *knowledge) holder(key hnslb.FrontendKey) *hnslb.LoadBalancer {
	for _, lb := range k.balancers {
		if held, ok := lb.Key(); ok && held == key {
			return &lb
		}
	}
	return nil
}

// namedBy returns a load balancer that is known to name an endpoint, nil if there is none.
// A half-made one, without port mappings, sends nothing to anybody and does not count.
func (k *knowledge) namedBy(id hnslb.ID) *hnslb.LoadBalancer {
	for _, lb := range k.balancers {
		if len(lb.Mappings) > 0 && slices.Contains(lb.Endpoints, id) {
			return &lb
		}
	}
	return nil
}

// anyKnown tells whether one of the endpoints is known to exist.
func (k *knowledge) anyKnown(ids []hnslb.ID) bool {
	return slices.ContainsFunc(ids, func(id hnslb.ID) bool { _, ok := k.endpoints[id]; return ok })
}

func sameIDs(a, b []hnslb.ID) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
