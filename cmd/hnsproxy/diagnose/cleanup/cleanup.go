// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cleanup removes from HNS what hnsproxy made, and leaves what others made.
package cleanup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/observed"
)

// Holdings are the objects of a host.
type Holdings struct {
	Endpoints     []hnslb.Endpoint
	LoadBalancers []hnslb.LoadBalancer
}

// List asks HNS for all objects of the host.
func List(ctx context.Context, d hnslb.Driver) (Holdings, error) {
	var h Holdings
	var err error
	if h.Endpoints, err = d.Endpoints(ctx); err != nil {
		return h, fmt.Errorf("read HNS: %w", err)
	}
	if h.LoadBalancers, err = d.LoadBalancers(ctx); err != nil {
		return h, fmt.Errorf("read HNS: %w", err)
	}
	return h, nil
}

// Scope says what to remove.
type Scope struct {
	Network   hnslb.Network
	SourceVIP netip.Addr
	// All takes all load balancers of the host, whoever made them.
	All bool
}

// Choose returns what to remove of what two lists show, in order, and how much stays. The
// second list is that which counts; a half-made load balancer is in both, or somebody is just
// making it.
func Choose(first, second Holdings, s Scope) (remove, stay Holdings) {
	v := observed.New(s.SourceVIP)
	v.SetNetwork(s.Network)
	v.Replace(first.Endpoints, first.LoadBalancers)
	v.Replace(second.Endpoints, second.LoadBalancers)
	ours := ourBalancers(v)
	named := map[hnslb.ID]bool{}
	for _, lb := range second.LoadBalancers {
		if s.All || ours[lb.ID] {
			remove.LoadBalancers = append(remove.LoadBalancers, lb)
			continue
		}
		stay.LoadBalancers = append(stay.LoadBalancers, lb)
		for _, id := range lb.Endpoints {
			named[id] = true
		}
	}
	own := map[hnslb.ID]bool{}
	for e := range v.Own {
		own[e.ID] = true
	}
	for _, e := range second.Endpoints {
		if own[e.ID] && !named[e.ID] {
			remove.Endpoints = append(remove.Endpoints, e)
		} else {
			stay.Endpoints = append(stay.Endpoints, e)
		}
	}
	remove.sort()
	return remove, stay
}

// ourBalancers are the load balancers of ours, half-made ones and twins among them.
func ourBalancers(v *observed.View) map[hnslb.ID]bool {
	ours := map[hnslb.ID]bool{}
	for lb := range v.LoadBalancers {
		if lb.Ours {
			ours[lb.ID] = true
		}
	}
	for key := range v.SurplusKeys {
		for _, lb := range v.Surplus(key) {
			ours[lb.ID] = true
		}
	}
	for _, id := range v.HalfMade() {
		ours[id] = true
	}
	return ours
}

func (h Holdings) sort() {
	slices.SortFunc(h.LoadBalancers, func(a, b hnslb.LoadBalancer) int {
		ka, _ := a.Key()
		kb, _ := b.Key()
		return cmp.Or(ka.Compare(kb), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(h.Endpoints, func(a, b hnslb.Endpoint) int {
		return cmp.Or(a.IPs[0].Compare(b.IPs[0]), cmp.Compare(a.ID, b.ID))
	})
}

// Empty tells whether there is nothing.
func (h Holdings) Empty() bool { return len(h.Endpoints) == 0 && len(h.LoadBalancers) == 0 }

// Remove removes objects, load balancers first, so that none loses an endpoint while it serves.
// It goes on when one fails, and ends with ctx; to run it again does the rest. told hears of each
// that is gone.
func Remove(ctx context.Context, d hnslb.Driver, h Holdings, told func(what string)) error {
	var errs []error
	failed := map[hnslb.ID]bool{}
	for _, lb := range h.LoadBalancers {
		if ctx.Err() != nil {
			return errors.Join(append(errs, context.Cause(ctx))...)
		}
		if err := gone(d.DeleteLoadBalancer(ctx, lb.ID)); err != nil {
			errs = append(errs, err)
			for _, id := range lb.Endpoints {
				failed[id] = true
			}
			continue
		}
		told("load balancer " + lb.ObjectName())
	}
	for _, e := range h.Endpoints {
		switch {
		case ctx.Err() != nil:
			return errors.Join(append(errs, context.Cause(ctx))...)
		case failed[e.ID]:
			continue // its load balancer may serve on
		}
		if err := gone(d.DeleteEndpoint(ctx, e.ID)); err != nil {
			errs = append(errs, err)
			continue
		}
		told("remote endpoint " + e.ObjectName())
	}
	return errors.Join(errs...)
}

// gone takes it for done when there is nothing to delete any more.
func gone(err error) error {
	if err != nil && hnslb.ErrorClass(err) == hnslb.NotFound {
		return nil
	}
	return err
}
