// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"context"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/engine"
	"github.com/hnsproxy/hnsproxy/internal/observed"
	"github.com/hnsproxy/hnsproxy/internal/plan"
)

// stopGrace is how long calls in flight, and those that must follow them, may continue after the
// proxy was asked to stop. It is enough for hundreds of writes, and less than the grace periods of
// Windows and Kubernetes.
const stopGrace = 5 * time.Second

// graceContext returns a context that ends stopGrace after ctx, or when release is called.
func (p *Proxier) graceContext(ctx context.Context) (longer context.Context, release func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		timer := p.cfg.Clock.NewTimer(stopGrace)
		defer timer.Stop()
		select {
		case <-timer.C():
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() {
		forget()
		cancel()
	}
}

// executor executes the work that the engine returns, each call on its own goroutine: a call into
// HNS cannot be cancelled, and may never return.
type executor struct {
	*Proxier
	ctx context.Context
}

// start starts the work that the engine returned.
func (d *executor) start(r engine.Ready) {
	for _, c := range r.Calls {
		d.run(func() func(*engine.Engine) {
			result := d.call(c)
			return func(e *engine.Engine) { e.Done(result) }
		})
	}
	if r.Network {
		d.run(d.readNetwork)
	}
	if request := r.List; request != nil {
		d.run(func() func(*engine.Engine) { return d.list(request) })
	}
}

// run calls f on a new goroutine and hands what it returns to the loop, until the proxy has
// stopped.
func (d *executor) run(f func() func(*engine.Engine)) {
	go func() {
		take := f()
		select {
		case d.results <- take:
		case <-d.ctx.Done():
		}
	}()
}

func (d *executor) call(c engine.Call) engine.Result {
	r := engine.Result{Call: c.ID}
	hns := d.cfg.Driver
	switch s := c.Step.(type) {
	case plan.CreateEndpoint:
		r.Endpoint, r.Err = hns.CreateEndpoint(d.ctx, s.Endpoint)
	case plan.DeleteEndpoint:
		r.Err = hns.DeleteEndpoint(d.ctx, s.ID)
	case plan.CreateLoadBalancer:
		r.LoadBalancer, r.Err = hns.CreateLoadBalancer(d.ctx, s.LoadBalancer)
	case plan.UpdateLoadBalancer:
		r.LoadBalancer, r.Err = hns.UpdateLoadBalancer(d.ctx, s.LoadBalancer)
	case plan.DeleteLoadBalancer:
		r.Err = hns.DeleteLoadBalancer(d.ctx, s.ID)
	}
	return r
}

func (d *executor) readNetwork() func(*engine.Engine) {
	f, n, err := d.networkReader.read(d.ctx)
	if err == nil && d.cfg.CheckCompatible != nil {
		if incompatible := d.cfg.CheckCompatible(f, n); incompatible != nil {
			return func(*engine.Engine) { d.incompatible = incompatible }
		}
	}
	return func(e *engine.Engine) { e.NetworkRead(f, n, err) }
}

func (d *executor) list(request *engine.ListRequest) func(*engine.Engine) {
	var list observed.List
	var err error
	if !request.EndpointsOnly {
		list.LoadBalancers, err = d.cfg.Driver.LoadBalancers(d.ctx)
	}
	// List endpoints after the load balancers, so that the list contains those that they reference.
	if err == nil || hnslb.ErrorClass(err) != hnslb.Unavailable {
		eps, endpointsErr := d.cfg.Driver.Endpoints(d.ctx)
		list.Endpoints = eps
		if err == nil || endpointsErr != nil {
			err = endpointsErr
		}
	}
	return func(e *engine.Engine) { e.Listed(request, list, err) }
}

// finish waits for the changes in progress. Between the deletion of a load balancer and its
// re-creation the VIP serves no traffic, and stopping there would leave it so until the next start
// (law 8).
func (d *executor) finish() {
	d.engine.Stop()
	for d.engine.Finishing() && d.ctx.Err() == nil {
		r := d.engine.Ready(d.cfg.Clock.Now())
		d.report.publish(r.Transitions)
		d.start(engine.Ready{Calls: r.Calls})
		var timer <-chan time.Time
		if !r.Wake.IsZero() {
			t := d.cfg.Clock.NewTimer(max(r.Wake.Sub(d.cfg.Clock.Now()), 0))
			timer = t.C()
			defer t.Stop()
		}
		select {
		case take := <-d.results:
			d.input(take)
		case <-timer:
		case <-d.ctx.Done():
		}
	}
}
