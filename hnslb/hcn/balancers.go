// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"sync"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// balancerLister lists the load balancers: through V1, with what V1 does not show asked
// through V2 once per object.
type balancerLister struct {
	lister

	mu sync.Mutex // not the turn: a write must not wait for a list
	// hidden is what V1 does not show. It never changes while an object lives.
	hidden map[hnslb.ID]hiddenPart
}

// hiddenPart is what the V1 form of a load balancer lacks, or is not known to have.
type hiddenPart struct {
	flags        hnslb.LoadBalancerFlags
	mapping      hnslb.MappingFlags
	distribution hnslb.Distribution
}

func newBalancerLister(src source, warn func(string)) *balancerLister {
	return &balancerLister{lister: newLister(src, warn), hidden: map[hnslb.ID]hiddenPart{}}
}

// remember keeps what V1 will not show of a load balancer that was read through V2.
func (l *balancerLister) remember(lb hnslb.LoadBalancer) {
	if len(lb.Mappings) != 1 {
		return // has no V1 form that could be completed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m := lb.Mappings[0]
	l.hidden[lb.ID] = hiddenPart{flags: lb.Flags, mapping: m.Flags, distribution: m.Distribution}
}

// forget drops a load balancer that is gone.
func (l *balancerLister) forget(id hnslb.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.hidden, id)
}

// list returns all load balancers of the host.
func (l *balancerLister) list(ctx context.Context) ([]hnslb.LoadBalancer, error) {
	release, err := l.take(ctx, hnslb.VerbLoadBalancers)
	if err != nil {
		return nil, err
	}
	defer release()

	if !l.v2Only {
		before, err := l.src.v1LoadBalancers()
		// Not believed when empty, asked again when failed: see endpointLister.list.
		if err == nil && len(before) > 0 {
			all, err := l.complete(ctx, before)
			if err != nil || !l.v2Only {
				return all, err
			}
		}
	}
	return throughV2(ctx, hnslb.VerbLoadBalancers, l.src.v2LoadBalancers)
}

// complete adds to a V1 list what it does not show. When that proves V1 wrong, v2Only is
// set and the answer must not be used.
func (l *balancerLister) complete(ctx context.Context, before []v1LoadBalancer) ([]hnslb.LoadBalancer, error) {
	known, unknown := l.split(before)
	// Four calls for each by ID, or one and three for each of the whole list.
	if 4*len(unknown) > 1+3*len(before) {
		all, err := throughV2(ctx, hnslb.VerbLoadBalancers, l.src.v2LoadBalancers)
		if err != nil {
			return nil, err
		}
		v2 := byID(all, balancerID)
		addHealth(all, before)
		return all, l.verify(before, v2, append(differing(before, v2), unshared(before, v2)...))
	}

	v2 := make(map[hnslb.ID]hnslb.LoadBalancer, len(unknown))
	var missing []hnslb.ID
	for _, v1 := range unknown {
		if err := alive(ctx, hnslb.VerbLoadBalancers, "all"); err != nil {
			return nil, err
		}
		lb, err := l.src.v2LoadBalancer(v1.ID)
		switch {
		case err == nil:
			v2[v1.ID] = lb
			lb.Degraded = v1.Degraded
			known = append(known, lb)
		case !gone(err):
			return nil, err
		case v1.Whole:
			missing = append(missing, v1.ID)
		}
	}
	return known, l.verify(before, v2, append(differing(before, v2), missing...))
}

// addHealth fills in what only V1 shows of load balancers that were read through V2.
func addHealth(all []hnslb.LoadBalancer, v1 []v1LoadBalancer) {
	shown := byID(v1, v1BalancerID)
	for i := range all {
		all[i].Degraded = shown[all[i].ID].Degraded
	}
}

// split completes what it can from memory, returns the rest as it is, and forgets what is
// no longer there.
func (l *balancerLister) split(before []v1LoadBalancer) (known []hnslb.LoadBalancer, unknown []v1LoadBalancer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := make(map[hnslb.ID]hiddenPart, len(before))
	for _, v1 := range before {
		h, ok := l.hidden[v1.ID]
		if !ok || !v1.Whole {
			unknown = append(unknown, v1)
			continue
		}
		kept[v1.ID] = h
		lb, m := v1.LoadBalancer, v1.Mappings[0]
		m.Flags, m.Distribution = h.mapping, h.distribution
		lb.Flags, lb.Mappings = h.flags, []hnslb.PortMapping{m} // before stays as V1 showed it
		known = append(known, lb)
	}
	l.hidden = kept
	return known, unknown
}

// verify remembers what V2 showed, and takes a second look at the suspects.
func (l *balancerLister) verify(before []v1LoadBalancer, v2 map[hnslb.ID]hnslb.LoadBalancer, suspects []hnslb.ID) error {
	for _, lb := range v2 {
		l.remember(lb)
	}
	if len(suspects) == 0 {
		return nil
	}
	after, err := l.src.v1LoadBalancers()
	if err != nil {
		return err
	}
	if id, ok := confirmed(suspects, byID(before, v1BalancerID), byID(after, v1BalancerID), sameV1Balancer); ok {
		l.distrust(hnslb.VerbLoadBalancers, id)
	}
	return nil
}

// differing returns the objects that V1 and V2 show differently. Those without a V1 form
// are taken from V2 anyway.
func differing(before []v1LoadBalancer, v2 map[hnslb.ID]hnslb.LoadBalancer) []hnslb.ID {
	var ids []hnslb.ID
	for _, v1 := range before {
		if lb, ok := v2[v1.ID]; ok && v1.Whole && !sameBalancer(v1, lb) {
			ids = append(ids, v1.ID)
		}
	}
	return ids
}

// unshared returns the objects that only one of two full lists has.
func unshared(before []v1LoadBalancer, v2 map[hnslb.ID]hnslb.LoadBalancer) []hnslb.ID {
	var ids []hnslb.ID
	v1 := byID(before, v1BalancerID)
	for id := range v2 {
		if _, ok := v1[id]; !ok {
			ids = append(ids, id)
		}
	}
	for id, lb := range v1 {
		if _, ok := v2[id]; !ok && lb.Whole {
			ids = append(ids, id)
		}
	}
	return ids
}
