// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import "context"

// Call is one call of a Driver.
type Call struct {
	Verb Verb
	// Object is the object of the call, as in errors: the name of a network, the ID for a delete,
	// "all" for a list and "HNS" for its features.
	Object string
	// Argument is the argument of the Driver method: a string, an Endpoint, a LoadBalancer or an
	// ID; nil for lists and features.
	Argument any
}

// Next makes a call and returns its result, nil for a delete.
type Next func(ctx context.Context) (any, error)

// Intercept returns a Driver that passes each call of d to around, which may call next once,
// several times or not at all. The caller gets what around returns; a nil result stands for the
// zero value. d may be nil if around never calls next.
func Intercept(d Driver, around func(ctx context.Context, c Call, next Next) (any, error)) Driver {
	return &intercepted{d, around}
}

type intercepted struct {
	driver Driver
	around func(context.Context, Call, Next) (any, error)
}

// intercept passes one call to around. It is a function since methods cannot have type parameters.
func intercept[T any](ctx context.Context, i *intercepted, c Call, call func(context.Context) (T, error)) (T, error) {
	out, err := i.around(ctx, c, func(ctx context.Context) (any, error) { return call(ctx) })
	typed, _ := out.(T)
	return typed, err
}

// interceptDelete is intercept for the verbs that return only an error.
func interceptDelete(ctx context.Context, i *intercepted, v Verb, id ID, call func(context.Context, ID) error) error {
	_, err := i.around(ctx, Call{v, string(id), id}, func(ctx context.Context) (any, error) { return nil, call(ctx, id) })
	return err
}

// Features implements Driver.
func (i *intercepted) Features(ctx context.Context) (Features, error) {
	return intercept(ctx, i, Call{VerbFeatures, "HNS", nil}, func(ctx context.Context) (Features, error) { return i.driver.Features(ctx) })
}

// Network implements Driver.
func (i *intercepted) Network(ctx context.Context, name string) (Network, error) {
	return intercept(ctx, i, Call{VerbNetwork, name, name}, func(ctx context.Context) (Network, error) { return i.driver.Network(ctx, name) })
}

// Endpoints implements Driver.
func (i *intercepted) Endpoints(ctx context.Context) ([]Endpoint, error) {
	return intercept(ctx, i, Call{VerbEndpoints, "all", nil}, func(ctx context.Context) ([]Endpoint, error) { return i.driver.Endpoints(ctx) })
}

// LoadBalancers implements Driver.
func (i *intercepted) LoadBalancers(ctx context.Context) ([]LoadBalancer, error) {
	return intercept(ctx, i, Call{VerbLoadBalancers, "all", nil}, func(ctx context.Context) ([]LoadBalancer, error) { return i.driver.LoadBalancers(ctx) })
}

// CreateEndpoint implements Driver.
func (i *intercepted) CreateEndpoint(ctx context.Context, e Endpoint) (Endpoint, error) {
	return intercept(ctx, i, Call{VerbCreateEndpoint, e.ObjectName(), e}, func(ctx context.Context) (Endpoint, error) { return i.driver.CreateEndpoint(ctx, e) })
}

// DeleteEndpoint implements Driver.
func (i *intercepted) DeleteEndpoint(ctx context.Context, id ID) error {
	return interceptDelete(ctx, i, VerbDeleteEndpoint, id, func(ctx context.Context, id ID) error { return i.driver.DeleteEndpoint(ctx, id) })
}

// CreateLoadBalancer implements Driver.
func (i *intercepted) CreateLoadBalancer(ctx context.Context, lb LoadBalancer) (LoadBalancer, error) {
	return intercept(ctx, i, Call{VerbCreateLoadBalancer, lb.ObjectName(), lb},
		func(ctx context.Context) (LoadBalancer, error) { return i.driver.CreateLoadBalancer(ctx, lb) })
}

// UpdateLoadBalancer implements Driver.
func (i *intercepted) UpdateLoadBalancer(ctx context.Context, lb LoadBalancer) (LoadBalancer, error) {
	return intercept(ctx, i, Call{VerbUpdateLoadBalancer, lb.ObjectName(), lb},
		func(ctx context.Context) (LoadBalancer, error) { return i.driver.UpdateLoadBalancer(ctx, lb) })
}

// DeleteLoadBalancer implements Driver.
func (i *intercepted) DeleteLoadBalancer(ctx context.Context, id ID) error {
	return interceptDelete(ctx, i, VerbDeleteLoadBalancer, id, func(ctx context.Context, id ID) error { return i.driver.DeleteLoadBalancer(ctx, id) })
}
