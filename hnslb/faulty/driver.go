// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package faulty

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Driver passes calls to another driver and fails some of them. It may be used by several
// goroutines. With several the n-th call is the n-th to arrive.
type Driver struct {
	inner hnslb.Driver
	seed  uint64

	mu     sync.Mutex
	faults []Fault
	// covered counts, per fault, the calls that it is about.
	covered []int
	// calls counts the calls of each verb.
	calls map[hnslb.Verb]int
	hits  []Hit
}

// Hit is one call that a fault struck.
type Hit struct {
	Verb   hnslb.Verb
	Object string
	Fault  Fault
}

// New returns a driver in front of inner with the faults given. When several strike one
// call, the first of them decides.
func New(inner hnslb.Driver, seed uint64, faults ...Fault) *Driver {
	return &Driver{
		inner:   inner,
		seed:    seed,
		faults:  slices.Clone(faults),
		covered: make([]int, len(faults)),
		calls:   map[hnslb.Verb]int{},
	}
}

// Heal ends all faults. Calls that wait out a delay go on waiting.
func (d *Driver) Heal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults, d.covered = nil, nil
}

// Hits returns what faults have struck so far, in order, so that a test can tell that its
// fault happened at all.
func (d *Driver) Hits() []Hit {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.hits)
}

// strike counts a call and returns the fault that strikes it, the zero Fault if none does.
func (d *Driver) strike(v hnslb.Verb, object string) Fault {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls[v]++
	var first Fault
	struck := false
	for i, f := range d.faults {
		if !f.covers(v) {
			continue
		}
		// Counted even when an earlier fault has struck: adding a fault in front must
		// not move the others.
		d.covered[i]++
		if struck || f.Nth > 0 && f.Nth != d.covered[i] ||
			f.Chance > 0 && draw(d.seed, i, v, d.calls[v]) >= f.Chance {
			continue
		}
		first, struck = f, true
	}
	if struck {
		d.hits = append(d.hits, Hit{Verb: v, Object: object, Fault: first})
	}
	return first
}

// through makes the call, or fails it.
func through[T any](ctx context.Context, d *Driver, h Hit, call func() (T, error)) (T, error) {
	var zero T
	f := d.strike(h.Verb, h.Object)
	if err := wait(ctx, f.Delay); err != nil {
		return zero, &hnslb.Error{Verb: h.Verb, Object: h.Object, Class: hnslb.Timeout, Err: err}
	}
	if f.class() == "" {
		return call()
	}
	if f.TakesEffect {
		if _, err := call(); err != nil {
			return zero, err // nothing took effect, and the driver has the better words
		}
	}
	return zero, f.err(h.Verb, h.Object)
}

// wait lets the delay pass, or returns why ctx ended.
func wait(ctx context.Context, delay time.Duration) error {
	if delay <= 0 {
		return nil
	}
	t := time.NewTimer(delay)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w, during a delay: %w", ErrInjected, context.Cause(ctx))
	}
}

// throughDelete is through for the verbs that return nothing but an error.
func throughDelete(ctx context.Context, d *Driver, v hnslb.Verb, id hnslb.ID, del func(context.Context, hnslb.ID) error) error {
	_, err := through(ctx, d, Hit{Verb: v, Object: string(id)}, func() (struct{}, error) {
		return struct{}{}, del(ctx, id)
	})
	return err
}

// Features is part of hnslb.Driver.
func (d *Driver) Features(ctx context.Context) (hnslb.Features, error) {
	return through(ctx, d, Hit{Verb: hnslb.VerbFeatures, Object: "HNS"}, func() (hnslb.Features, error) {
		return d.inner.Features(ctx)
	})
}

// Network is part of hnslb.Driver.
func (d *Driver) Network(ctx context.Context, name string) (hnslb.Network, error) {
	n, err := through(ctx, d, Hit{Verb: hnslb.VerbNetwork, Object: name}, func() (hnslb.Network, error) {
		return d.inner.Network(ctx, name)
	})
	return n, hnslb.WithNetworkNotFound(name, err)
}

// Endpoints is part of hnslb.Driver.
func (d *Driver) Endpoints(ctx context.Context) ([]hnslb.Endpoint, error) {
	return through(ctx, d, Hit{Verb: hnslb.VerbEndpoints, Object: "all"}, func() ([]hnslb.Endpoint, error) {
		return d.inner.Endpoints(ctx)
	})
}

// LoadBalancers is part of hnslb.Driver.
func (d *Driver) LoadBalancers(ctx context.Context) ([]hnslb.LoadBalancer, error) {
	return through(ctx, d, Hit{Verb: hnslb.VerbLoadBalancers, Object: "all"}, func() ([]hnslb.LoadBalancer, error) {
		return d.inner.LoadBalancers(ctx)
	})
}

// CreateEndpoint is part of hnslb.Driver.
func (d *Driver) CreateEndpoint(ctx context.Context, e hnslb.Endpoint) (hnslb.Endpoint, error) {
	return through(ctx, d, Hit{Verb: hnslb.VerbCreateEndpoint, Object: e.ObjectName()}, func() (hnslb.Endpoint, error) {
		return d.inner.CreateEndpoint(ctx, e)
	})
}

// DeleteEndpoint is part of hnslb.Driver.
func (d *Driver) DeleteEndpoint(ctx context.Context, id hnslb.ID) error {
	return throughDelete(ctx, d, hnslb.VerbDeleteEndpoint, id, d.inner.DeleteEndpoint)
}

// CreateLoadBalancer is part of hnslb.Driver.
func (d *Driver) CreateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	return through(ctx, d, Hit{Verb: hnslb.VerbCreateLoadBalancer, Object: lb.ObjectName()}, func() (hnslb.LoadBalancer, error) {
		return d.inner.CreateLoadBalancer(ctx, lb)
	})
}

// UpdateLoadBalancer is part of hnslb.Driver.
func (d *Driver) UpdateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	return through(ctx, d, Hit{Verb: hnslb.VerbUpdateLoadBalancer, Object: lb.ObjectName()}, func() (hnslb.LoadBalancer, error) {
		return d.inner.UpdateLoadBalancer(ctx, lb)
	})
}

// DeleteLoadBalancer is part of hnslb.Driver.
func (d *Driver) DeleteLoadBalancer(ctx context.Context, id hnslb.ID) error {
	return throughDelete(ctx, d, hnslb.VerbDeleteLoadBalancer, id, d.inner.DeleteLoadBalancer)
}
