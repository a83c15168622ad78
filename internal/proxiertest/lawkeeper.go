// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxiertest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Options say what a LawKeeper cannot see from calls.
type Options struct {
	// Network is the name of the network that carries the node's pods.
	Network string
	// SourceVIP is the one address whose local endpoint a proxy may create (law 10); the
	// zero Addr when there is none.
	SourceVIP netip.Addr
	// Flags and MappingFlags are those that this HNS shows otherwise than it was asked for.
	// They are left out of every judgement.
	Flags        hnslb.LoadBalancerFlags
	MappingFlags hnslb.MappingFlags
}

// LawKeeper passes calls to another driver and notes those that break a law. Use one for
// each start of a proxy: what a proxy knows dies with it. It is safe for concurrent use,
// but the laws about order mean something only when one goroutine writes.
type LawKeeper struct {
	inner hnslb.Driver
	opts  Options

	mu     sync.Mutex
	known  knowledge
	broken []string
	// writes counts write calls, so that "the next one" has a meaning.
	writes int
	// dropped are the load balancers that were deleted since the last piece of work began,
	// by their frontends.
	dropped map[hnslb.FrontendKey]*dropped
	// mixed tells that something changed while the proxy was at work: what it does then
	// may follow from either state, so deleting and making again proves nothing.
	mixed bool
	// moved tells that the host's address changed since the last piece of work began: node
	// ports are made again as they were, since HNS keeps the address in their rules.
	moved bool
}

// dropped is a load balancer that was deleted.
type dropped struct {
	lb    hnslb.LoadBalancer
	write int
}

var _ hnslb.Driver = (*LawKeeper)(nil)

// NewLawKeeper returns a driver that watches the calls to inner.
func NewLawKeeper(inner hnslb.Driver, o Options) *LawKeeper {
	return &LawKeeper{inner: inner, opts: o, known: newKnowledge(), dropped: map[hnslb.FrontendKey]*dropped{}}
}

// plain is a load balancer without the flags that say nothing.
func (k *LawKeeper) plain(lb hnslb.LoadBalancer) hnslb.LoadBalancer {
	if k.opts.Flags == 0 && k.opts.MappingFlags == 0 {
		return lb
	}
	lb.Flags &^= k.opts.Flags
	lb.Mappings = slices.Clone(lb.Mappings)
	for i := range lb.Mappings {
		lb.Mappings[i].Flags &^= k.opts.MappingFlags
	}
	return lb
}

// Broken returns the breaches so far, in order, each as "law N: call: why".
func (k *LawKeeper) Broken() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]string(nil), k.broken...)
}

// Writes counts the write calls so far, those that failed included: a proxy that makes none
// for longer than its longest wait between two tries has settled.
func (k *LawKeeper) Writes() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.writes
}

// Changed tells that what is desired, or what HNS holds, was changed by somebody else, so
// that a load balancer which had to go may rightly come back. idle says whether the proxy
// had nothing to do when that happened. Without calls of Changed everything counts as one
// piece of work, in which no frontend has a reason to go and come back.
func (k *LawKeeper) Changed(idle bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.dropped)
	k.mixed, k.moved = !idle, false
}

// breach notes a breach of a law.
func (k *LawKeeper) breach(law int, v hnslb.Verb, object, format string, args ...any) {
	k.broken = append(k.broken, fmt.Sprintf("law %d: %s %s: %s", law, v, object, fmt.Sprintf(format, args...)))
}

// write counts a write call and judges what holds for all of them.
func (k *LawKeeper) write(v hnslb.Verb, object string) {
	k.writes++
	switch {
	case !k.known.listed():
		k.breach(7, v, object, "HNS was not listed before")
	case k.known.doubts[object] && (v == hnslb.VerbCreateEndpoint || v == hnslb.VerbCreateLoadBalancer):
		// What has an ID may be changed or deleted again.
		k.breach(6, v, object, "what became of an earlier call is unknown and HNS was not listed since")
	}
}

// after takes note of how a write ended.
func (k *LawKeeper) after(object string, err error) {
	if gone(err) {
		delete(k.known.doubts, object)
	}
	if hnslb.OutcomeUnknown(err) {
		k.known.doubts[object] = true
	}
}

// Features is part of hnslb.Driver.
func (k *LawKeeper) Features(ctx context.Context) (hnslb.Features, error) {
	f, err := k.inner.Features(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.known.modify = f.Modify && !k.known.modifyFailed
	}
	return f, err
}

// Network is part of hnslb.Driver.
func (k *LawKeeper) Network(ctx context.Context, name string) (hnslb.Network, error) {
	n, err := k.inner.Network(ctx, name)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil && name == k.opts.Network {
		k.moved = k.moved || n.ID == k.known.network.ID && n.ManagementIP != k.known.network.ManagementIP
		k.known.setNetwork(n)
	}
	return n, err
}

// answers counts the writes that were answered.
func (k *LawKeeper) answers() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known.answers
}

// Endpoints is part of hnslb.Driver.
func (k *LawKeeper) Endpoints(ctx context.Context) ([]hnslb.Endpoint, error) {
	begun := k.answers()
	eps, err := k.inner.Endpoints(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.known.setEndpoints(eps, begun, k.writes)
	}
	return eps, err
}

// givenUp is how long a list may take before the proxy may have given it up.
const givenUp = 30 * time.Second

// LoadBalancers is part of hnslb.Driver.
func (k *LawKeeper) LoadBalancers(ctx context.Context) ([]hnslb.LoadBalancer, error) {
	begun, at := k.answers(), time.Now()
	lbs, err := k.inner.LoadBalancers(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		plain := make([]hnslb.LoadBalancer, len(lbs))
		for i, lb := range lbs {
			plain[i] = k.plain(lb)
		}
		k.known.setBalancers(plain, begun, time.Since(at) > givenUp)
	}
	return lbs, err
}

// CreateEndpoint is part of hnslb.Driver.
func (k *LawKeeper) CreateEndpoint(ctx context.Context, e hnslb.Endpoint) (hnslb.Endpoint, error) {
	k.mu.Lock()
	k.write(hnslb.VerbCreateEndpoint, e.ObjectName())
	k.judgeCreateEndpoint(e)
	k.known.begin(e, 1)
	k.mu.Unlock()
	made, err := k.inner.CreateEndpoint(ctx, e)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.after(e.ObjectName(), err)
	k.known.begin(e, -1)
	switch {
	case err == nil:
		k.known.putEndpoint(made, k.writes)
		k.known.answer(made.ID)
	case len(e.IPs) == 1:
		k.known.refuse(e.IPs[0], k.writes)
	}
	return made, err
}

// DeleteEndpoint is part of hnslb.Driver.
func (k *LawKeeper) DeleteEndpoint(ctx context.Context, id hnslb.ID) error {
	k.mu.Lock()
	name := k.known.endpointName(id)
	k.write(hnslb.VerbDeleteEndpoint, name)
	k.judgeDeleteEndpoint(id, name)
	k.mu.Unlock()
	err := k.inner.DeleteEndpoint(ctx, id)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.after(name, err)
	if gone(err) {
		k.known.dropEndpoint(id, k.writes)
		k.known.deleted[id] = true
		k.known.answer(id)
	}
	return err
}

// CreateLoadBalancer is part of hnslb.Driver.
func (k *LawKeeper) CreateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	k.mu.Lock()
	k.write(hnslb.VerbCreateLoadBalancer, lb.ObjectName())
	k.judgeBalancer(hnslb.VerbCreateLoadBalancer, lb)
	k.judgeCreateBalancer(lb)
	k.mu.Unlock()
	made, err := k.inner.CreateLoadBalancer(ctx, lb)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.after(lb.ObjectName(), err)
	if err == nil {
		k.known.balancers[made.ID] = k.plain(made)
		k.known.keepShort(lb, lb)
		k.known.answer(made.ID)
	}
	return made, err
}

// UpdateLoadBalancer is part of hnslb.Driver.
func (k *LawKeeper) UpdateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	k.mu.Lock()
	k.write(hnslb.VerbUpdateLoadBalancer, lb.ObjectName())
	k.judgeBalancer(hnslb.VerbUpdateLoadBalancer, lb)
	k.judgeUpdateBalancer(k.plain(lb))
	k.mu.Unlock()
	held, err := k.inner.UpdateLoadBalancer(ctx, lb)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.after(lb.ObjectName(), err)
	if err == nil {
		k.known.balancers[held.ID] = k.plain(held)
		k.known.keepShort(lb, held)
		k.known.answer(held.ID)
	}
	if hnslb.ErrorClass(err) == hnslb.Unsupported || err == nil && !sameIDs(held.Endpoints, lb.Endpoints) {
		// This HNS cannot modify after all: making anew is right from now on.
		k.known.modify, k.known.modifyFailed = false, true
	}
	return held, err
}

// DeleteLoadBalancer is part of hnslb.Driver.
func (k *LawKeeper) DeleteLoadBalancer(ctx context.Context, id hnslb.ID) error {
	k.mu.Lock()
	lb, ok := k.known.balancers[id]
	name := string(id)
	if ok {
		name = lb.ObjectName()
	}
	k.write(hnslb.VerbDeleteLoadBalancer, name)
	k.judgeDeleteBalancer(id, name)
	write := k.writes
	k.mu.Unlock()
	err := k.inner.DeleteLoadBalancer(ctx, id)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.after(name, err)
	if err != nil && !hnslb.ProvesAbsent(err) {
		return err
	}
	delete(k.known.balancers, id)
	k.known.answer(id)
	if key, one := lb.Key(); ok && one && k.known.holder(key) == nil {
		k.dropped[key] = &dropped{lb: lb, write: write}
	}
	return err
}

// gone tells whether a delete with that outcome leaves nothing behind.
func gone(err error) bool { return err == nil || hnslb.ErrorClass(err) == hnslb.NotFound }
