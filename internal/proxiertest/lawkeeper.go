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
	hnslb.Driver
	opts Options

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

// NewLawKeeper returns a driver that watches the calls to inner.
func NewLawKeeper(inner hnslb.Driver, o Options) *LawKeeper {
	k := &LawKeeper{opts: o, known: newKnowledge(), dropped: map[hnslb.FrontendKey]*dropped{}}
	k.Driver = hnslb.Intercept(inner, k.around)
	return k
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

// around judges a call, makes it, and takes note of how it ended.
func (k *LawKeeper) around(ctx context.Context, c hnslb.Call, next hnslb.Next) (any, error) {
	k.mu.Lock()
	ended := k.call(c)
	k.mu.Unlock()
	out, err := next(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	ended(out, err)
	return out, err
}

// call judges a call and returns what takes note of how it ended.
func (k *LawKeeper) call(c hnslb.Call) (ended func(any, error)) {
	switch arg := c.Argument.(type) {
	case hnslb.Endpoint:
		return k.createEndpoint(arg)
	case hnslb.LoadBalancer:
		if c.Verb == hnslb.VerbCreateLoadBalancer {
			return k.createBalancer(arg)
		}
		return k.updateBalancer(arg)
	case hnslb.ID:
		if c.Verb == hnslb.VerbDeleteEndpoint {
			return k.deleteEndpoint(arg)
		}
		return k.deleteBalancer(arg)
	}
	switch c.Verb {
	case hnslb.VerbEndpoints:
		begun := k.known.answers
		return succeeded(func(eps []hnslb.Endpoint) { k.known.setEndpoints(eps, begun, k.writes) })
	case hnslb.VerbLoadBalancers:
		return k.balancers()
	case hnslb.VerbNetwork:
		return succeeded(func(n hnslb.Network) { k.network(c.Object, n) })
	}
	return succeeded(func(f hnslb.Features) { k.known.modify = f.Modify && !k.known.modifyFailed })
}

// returned makes a function take the result of a call as any.
func returned[T any](f func(T, error)) func(any, error) {
	return func(out any, err error) {
		typed, _ := out.(T)
		f(typed, err)
	}
}

// succeeded is returned for calls whose errors teach nothing.
func succeeded[T any](f func(T)) func(any, error) {
	return returned(func(out T, err error) {
		if err == nil {
			f(out)
		}
	})
}

func (k *LawKeeper) network(name string, n hnslb.Network) {
	if name == k.opts.Network {
		k.moved = k.moved || n.ID == k.known.network.ID && n.ManagementIP != k.known.network.ManagementIP
		k.known.setNetwork(n)
	}
}

// givenUp is how long a list may take before the proxy may have given it up.
const givenUp = 30 * time.Second

func (k *LawKeeper) balancers() func(any, error) {
	begun, at := k.known.answers, time.Now()
	return succeeded(func(lbs []hnslb.LoadBalancer) {
		plain := make([]hnslb.LoadBalancer, len(lbs))
		for i, lb := range lbs {
			plain[i] = k.plain(lb)
		}
		k.known.setBalancers(plain, begun, time.Since(at) > givenUp)
	})
}

func (k *LawKeeper) createEndpoint(e hnslb.Endpoint) func(any, error) {
	k.write(hnslb.VerbCreateEndpoint, e.ObjectName())
	k.judgeCreateEndpoint(e)
	k.known.begin(e, 1)
	return returned(func(made hnslb.Endpoint, err error) {
		k.after(e.ObjectName(), err)
		k.known.begin(e, -1)
		switch {
		case err == nil:
			k.known.putEndpoint(made, k.writes)
			k.known.answer(made.ID)
		case len(e.IPs) == 1:
			k.known.refuse(e.IPs[0], k.writes)
		}
	})
}

func (k *LawKeeper) deleteEndpoint(id hnslb.ID) func(any, error) {
	name := k.known.endpointName(id)
	k.write(hnslb.VerbDeleteEndpoint, name)
	k.judgeDeleteEndpoint(id, name)
	return func(_ any, err error) {
		k.after(name, err)
		if gone(err) {
			k.known.dropEndpoint(id, k.writes)
			k.known.deleted[id] = true
			k.known.answer(id)
		}
	}
}

func (k *LawKeeper) createBalancer(lb hnslb.LoadBalancer) func(any, error) {
	k.write(hnslb.VerbCreateLoadBalancer, lb.ObjectName())
	k.judgeBalancer(hnslb.VerbCreateLoadBalancer, lb)
	k.judgeCreateBalancer(lb)
	return returned(func(made hnslb.LoadBalancer, err error) {
		if k.held(lb, made, err); err == nil {
			k.known.keepShort(lb, lb)
		}
	})
}

func (k *LawKeeper) updateBalancer(lb hnslb.LoadBalancer) func(any, error) {
	k.write(hnslb.VerbUpdateLoadBalancer, lb.ObjectName())
	k.judgeBalancer(hnslb.VerbUpdateLoadBalancer, lb)
	k.judgeUpdateBalancer(k.plain(lb))
	return returned(func(held hnslb.LoadBalancer, err error) {
		if k.held(lb, held, err); err == nil {
			k.known.keepShort(lb, held)
		}
		if hnslb.ErrorClass(err) == hnslb.Unsupported || err == nil && !sameIDs(held.Endpoints, lb.Endpoints) {
			// This HNS cannot modify after all: making anew is right from now on.
			k.known.modify, k.known.modifyFailed = false, true
		}
	})
}

// held takes note of what HNS holds for the load balancer that it was asked for.
func (k *LawKeeper) held(asked, held hnslb.LoadBalancer, err error) {
	k.after(asked.ObjectName(), err)
	if err == nil {
		k.known.balancers[held.ID] = k.plain(held)
		k.known.answer(held.ID)
	}
}

func (k *LawKeeper) deleteBalancer(id hnslb.ID) func(any, error) {
	lb, ok := k.known.balancers[id]
	name := string(id)
	if ok {
		name = lb.ObjectName()
	}
	k.write(hnslb.VerbDeleteLoadBalancer, name)
	k.judgeDeleteBalancer(id, name)
	write := k.writes
	return func(_ any, err error) {
		k.after(name, err)
		if err != nil && !hnslb.ProvesAbsent(err) {
			return
		}
		delete(k.known.balancers, id)
		k.known.answer(id)
		if key, one := lb.Key(); ok && one && k.known.holder(key) == nil {
			k.dropped[key] = &dropped{lb: lb, write: write}
		}
	}
}

// gone tells whether a delete with that outcome leaves nothing behind.
func gone(err error) bool { return err == nil || hnslb.ErrorClass(err) == hnslb.NotFound }
