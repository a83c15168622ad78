// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxiertest

import (
	"net/netip"
	"slices"
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
	// doubt names the call whose outcome is unknown, until both lists were read again;
	// doubted is when that came out.
	doubt   string
	doubted time.Time

	modify, modifyFailed bool
}

func newKnowledge() knowledge {
	return knowledge{
		endpoints: map[hnslb.ID]hnslb.Endpoint{}, balancers: map[hnslb.ID]hnslb.LoadBalancer{},
		born: map[hnslb.ID]int{}, refused: map[netip.Addr]int{}, vacated: map[netip.Addr]int{},
	}
}

// listed tells whether HNS was ever listed.
func (k *knowledge) listed() bool {
	return k.endpointsListed && k.balancersListed || k.doubt != ""
}

// setEndpoints takes a list that came after so many writes.
func (k *knowledge) setEndpoints(eps []hnslb.Endpoint, writes int) {
	clear(k.endpoints)
	for _, e := range eps {
		k.putEndpoint(e, writes)
	}
	k.endpointsListed = true
	k.settleDoubt()
}

func (k *knowledge) putEndpoint(e hnslb.Endpoint, writes int) {
	k.endpoints[e.ID] = e
	if _, ok := k.born[e.ID]; !ok {
		k.born[e.ID] = writes
	}
}

func (k *knowledge) refuse(ip netip.Addr, write int) {
	if _, ok := k.refused[ip]; !ok {
		k.refused[ip] = write
	}
}

// dropEndpoint forgets an endpoint that is gone since some write.
func (k *knowledge) dropEndpoint(id hnslb.ID, write int) {
	for _, ip := range k.endpoints[id].IPs {
		delete(k.refused, ip)
		k.vacated[ip] = write
	}
	delete(k.endpoints, id)
}

// available tells whether an endpoint could have been named at some write: it was known
// then, or it could have been made: nothing else stood at its address, and nobody had
// tried in vain.
func (k *knowledge) available(id hnslb.ID, write int) bool {
	e := k.endpoints[id]
	if k.born[id] <= write || len(e.IPs) == 0 {
		return true
	}
	denied, ok := k.refused[e.IPs[0]]
	return e.Remote && k.vacated[e.IPs[0]] <= write && (!ok || denied > write)
}

func (k *knowledge) setBalancers(lbs []hnslb.LoadBalancer) {
	clear(k.balancers)
	for _, lb := range lbs {
		k.balancers[lb.ID] = lb
	}
	k.balancersListed = true
	k.settleDoubt()
}

func (k *knowledge) settleDoubt() {
	if k.endpointsListed && k.balancersListed {
		k.doubt = ""
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
