// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"sync"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// settled is a driver whose calls can be waited for. hnslb.WithTimeout leaves calls behind, and those would change the host of
// the next test.
type settled struct {
	inner hnslb.Driver
	calls sync.WaitGroup
}

// settle waits until no call is on its way, or ctx ends.
func (d *settled) settle(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		d.calls.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func through[T any](d *settled, call func() (T, error)) (T, error) {
	d.calls.Add(1)
	defer d.calls.Done()
	return call()
}

func (d *settled) Features(ctx context.Context) (hnslb.Features, error) {
	return through(d, func() (hnslb.Features, error) { return d.inner.Features(ctx) })
}

func (d *settled) Network(ctx context.Context, name string) (hnslb.Network, error) {
	return through(d, func() (hnslb.Network, error) { return d.inner.Network(ctx, name) })
}

func (d *settled) Endpoints(ctx context.Context) ([]hnslb.Endpoint, error) {
	return through(d, func() ([]hnslb.Endpoint, error) { return d.inner.Endpoints(ctx) })
}

func (d *settled) LoadBalancers(ctx context.Context) ([]hnslb.LoadBalancer, error) {
	return through(d, func() ([]hnslb.LoadBalancer, error) { return d.inner.LoadBalancers(ctx) })
}

func (d *settled) CreateEndpoint(ctx context.Context, ep hnslb.Endpoint) (hnslb.Endpoint, error) {
	return through(d, func() (hnslb.Endpoint, error) { return d.inner.CreateEndpoint(ctx, ep) })
}

func (d *settled) DeleteEndpoint(ctx context.Context, id hnslb.ID) error {
	_, err := through(d, func() (struct{}, error) { return struct{}{}, d.inner.DeleteEndpoint(ctx, id) })
	return err
}

func (d *settled) CreateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	return through(d, func() (hnslb.LoadBalancer, error) { return d.inner.CreateLoadBalancer(ctx, lb) })
}

func (d *settled) UpdateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	return through(d, func() (hnslb.LoadBalancer, error) { return d.inner.UpdateLoadBalancer(ctx, lb) })
}

func (d *settled) DeleteLoadBalancer(ctx context.Context, id hnslb.ID) error {
	_, err := through(d, func() (struct{}, error) { return struct{}{}, d.inner.DeleteLoadBalancer(ctx, id) })
	return err
}
