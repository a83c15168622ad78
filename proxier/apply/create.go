// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"net/netip"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/observed"
	"github.com/hnsproxy/hnsproxy/proxier/plan"
)

// leadingCreates returns the steps up to the first that is not the creation of an endpoint.
func leadingCreates(steps []plan.Step) []plan.Step {
	for i, s := range steps {
		if s.Op != plan.CreateEndpoint {
			return steps[:i]
		}
	}
	return steps
}

// create makes endpoints, up to width at once. After an unknown outcome it begins no more.
func (r *Result) create(ctx context.Context, d hnslb.Driver, v *observed.View, steps []plan.Step, width int) {
	var mu sync.Mutex // guards r and v
	var group errgroup.Group
	group.SetLimit(max(width, 1))
	for _, s := range steps {
		group.Go(func() error {
			mu.Lock()
			defer mu.Unlock()
			if r.Err != nil {
				return nil
			}
			if v.Endpoint(s.Endpoint.IPs[0]) != nil {
				r.Steps++ // made for another frontend of the same batch
				return nil
			}
			mu.Unlock()
			e, err := d.CreateEndpoint(ctx, s.Endpoint)
			mu.Lock()
			r.created(v, s, e, err)
			return nil
		})
	}
	_ = group.Wait() // what failed is in r
}

// created takes note of what came of the creation of an endpoint.
func (r *Result) created(v *observed.View, s plan.Step, e hnslb.Endpoint, err error) {
	if err == nil {
		v.PutEndpoint(e)
		r.Steps++
		return
	}
	if r.Endpoints == nil {
		r.Endpoints = map[netip.Addr]error{}
	}
	r.Endpoints[s.Endpoint.IPs[0]] = err
	if reread(v, s, err) {
		r.Unknown, r.Err, r.Op = true, err, s.Op
	}
}
