// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// callLevel is the verbosity at which each call of HNS is logged.
const callLevel = 4

// logCalls returns d with a line in the log for each call, with the time that it took. Calls
// that took too long for those who waited for them have their line too, once they return.
func logCalls(d hnslb.Driver, logger klog.Logger, c clock.PassiveClock) hnslb.Driver {
	return &loggedDriver{d, logger.V(callLevel), c}
}

type loggedDriver struct {
	hns    hnslb.Driver
	logger klog.Logger
	clock  clock.PassiveClock
}

// logged carries out a call. found says what came of it, for the log.
func logged[T any](l *loggedDriver, verb hnslb.Verb, object string, call func() (T, error), found func(T) []any) (T, error) {
	start := l.clock.Now()
	out, err := call()
	if !l.logger.Enabled() {
		return out, err
	}
	line := []any{"call", verb, "object", object, "took", l.clock.Since(start).String()}
	if err != nil {
		line = append(line, "err", err)
	} else if found != nil {
		line = append(line, found(out)...)
	}
	l.logger.Info("HNS call", line...)
	return out, err
}

func loggedDelete(l *loggedDriver, verb hnslb.Verb, id hnslb.ID, call func() error) error {
	_, err := logged(l, verb, string(id), func() (struct{}, error) { return struct{}{}, call() }, nil)
	return err
}

func length[T any](list []T) []any { return []any{"found", len(list)} }

func endpointID(e hnslb.Endpoint) []any { return []any{"id", e.ID} }

func balancerID(lb hnslb.LoadBalancer) []any {
	return []any{"id", lb.ID, "endpoints", len(lb.Endpoints)}
}

// Features is part of hnslb.Driver.
func (l *loggedDriver) Features(ctx context.Context) (hnslb.Features, error) {
	return logged(l, hnslb.VerbFeatures, "HNS", func() (hnslb.Features, error) { return l.hns.Features(ctx) }, nil)
}

// Network is part of hnslb.Driver.
func (l *loggedDriver) Network(ctx context.Context, name string) (hnslb.Network, error) {
	return logged(l, hnslb.VerbNetwork, name, func() (hnslb.Network, error) { return l.hns.Network(ctx, name) }, nil)
}

// Endpoints is part of hnslb.Driver.
func (l *loggedDriver) Endpoints(ctx context.Context) ([]hnslb.Endpoint, error) {
	return logged(l, hnslb.VerbEndpoints, "all", func() ([]hnslb.Endpoint, error) { return l.hns.Endpoints(ctx) }, length)
}

// LoadBalancers is part of hnslb.Driver.
func (l *loggedDriver) LoadBalancers(ctx context.Context) ([]hnslb.LoadBalancer, error) {
	return logged(l, hnslb.VerbLoadBalancers, "all", func() ([]hnslb.LoadBalancer, error) { return l.hns.LoadBalancers(ctx) }, length)
}

// CreateEndpoint is part of hnslb.Driver.
func (l *loggedDriver) CreateEndpoint(ctx context.Context, e hnslb.Endpoint) (hnslb.Endpoint, error) {
	return logged(l, hnslb.VerbCreateEndpoint, e.ObjectName(), func() (hnslb.Endpoint, error) { return l.hns.CreateEndpoint(ctx, e) }, endpointID)
}

// DeleteEndpoint is part of hnslb.Driver.
func (l *loggedDriver) DeleteEndpoint(ctx context.Context, id hnslb.ID) error {
	return loggedDelete(l, hnslb.VerbDeleteEndpoint, id, func() error { return l.hns.DeleteEndpoint(ctx, id) })
}

// CreateLoadBalancer is part of hnslb.Driver.
func (l *loggedDriver) CreateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	return logged(l, hnslb.VerbCreateLoadBalancer, lb.ObjectName(),
		func() (hnslb.LoadBalancer, error) { return l.hns.CreateLoadBalancer(ctx, lb) }, balancerID)
}

// UpdateLoadBalancer is part of hnslb.Driver.
func (l *loggedDriver) UpdateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	return logged(l, hnslb.VerbUpdateLoadBalancer, lb.ObjectName(),
		func() (hnslb.LoadBalancer, error) { return l.hns.UpdateLoadBalancer(ctx, lb) }, balancerID)
}

// DeleteLoadBalancer is part of hnslb.Driver.
func (l *loggedDriver) DeleteLoadBalancer(ctx context.Context, id hnslb.ID) error {
	return loggedDelete(l, hnslb.VerbDeleteLoadBalancer, id, func() error { return l.hns.DeleteLoadBalancer(ctx, id) })
}
