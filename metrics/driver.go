// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"k8s.io/utils/clock"
)

// Instrument returns d with every call counted and timed in m. It changes neither results
// nor errors, and keeps the contract of hnslb.Driver if d does. c may be nil for the real
// clock.
func Instrument(d hnslb.Driver, m *Metrics, c clock.PassiveClock) hnslb.Driver {
	if c == nil {
		c = clock.RealClock{}
	}
	return &instrumented{driver: d, metrics: m, clock: c}
}

type instrumented struct {
	driver  hnslb.Driver
	metrics *Metrics
	clock   clock.PassiveClock
}

// measure runs one call. It is a function since methods have no type parameters.
func measure[T any](i *instrumented, v hnslb.Verb, call func() (T, error)) (T, error) {
	start := i.clock.Now()
	out, err := call()
	i.metrics.HNSCall(v, i.clock.Since(start), err)
	return out, err
}

// nothing is the result of the calls that return an error alone.
type nothing struct{}

func (i *instrumented) Features(ctx context.Context) (hnslb.Features, error) {
	return measure(i, hnslb.VerbFeatures, func() (hnslb.Features, error) { return i.driver.Features(ctx) })
}

func (i *instrumented) Network(ctx context.Context, name string) (hnslb.Network, error) {
	return measure(i, hnslb.VerbNetwork, func() (hnslb.Network, error) { return i.driver.Network(ctx, name) })
}

func (i *instrumented) Endpoints(ctx context.Context) ([]hnslb.Endpoint, error) {
	return measure(i, hnslb.VerbEndpoints, func() ([]hnslb.Endpoint, error) { return i.driver.Endpoints(ctx) })
}

func (i *instrumented) LoadBalancers(ctx context.Context) ([]hnslb.LoadBalancer, error) {
	return measure(i, hnslb.VerbLoadBalancers,
		func() ([]hnslb.LoadBalancer, error) { return i.driver.LoadBalancers(ctx) })
}

func (i *instrumented) CreateEndpoint(ctx context.Context, e hnslb.Endpoint) (hnslb.Endpoint, error) {
	return measure(i, hnslb.VerbCreateEndpoint,
		func() (hnslb.Endpoint, error) { return i.driver.CreateEndpoint(ctx, e) })
}

func (i *instrumented) DeleteEndpoint(ctx context.Context, id hnslb.ID) error {
	_, err := measure(i, hnslb.VerbDeleteEndpoint,
		func() (nothing, error) { return nothing{}, i.driver.DeleteEndpoint(ctx, id) })
	return err
}

func (i *instrumented) CreateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	return measure(i, hnslb.VerbCreateLoadBalancer,
		func() (hnslb.LoadBalancer, error) { return i.driver.CreateLoadBalancer(ctx, lb) })
}

func (i *instrumented) UpdateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	return measure(i, hnslb.VerbUpdateLoadBalancer,
		func() (hnslb.LoadBalancer, error) { return i.driver.UpdateLoadBalancer(ctx, lb) })
}

func (i *instrumented) DeleteLoadBalancer(ctx context.Context, id hnslb.ID) error {
	_, err := measure(i, hnslb.VerbDeleteLoadBalancer,
		func() (nothing, error) { return nothing{}, i.driver.DeleteLoadBalancer(ctx, id) })
	return err
}
