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

// stopGrace is how long calls that were begun, and those that must follow them, may go on
// after the proxy was asked to stop: enough for hundreds of writes, and less than what
// Windows and Kubernetes grant.
const stopGrace = 5 * time.Second

// outlive returns a context that ends stopGrace after ctx, or when release is called.
func (p *Proxier) outlive(ctx context.Context) (longer context.Context, release func()) {
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

// driver carries out what the engine asks for, each call on a goroutine of its own: a call
// into HNS cannot be taken back, and may never return.
type driver struct {
	*Proxier
	ctx context.Context
}

// begin begins what the engine asks for.
func (d *driver) begin(r engine.Ready) {
	for _, c := range r.Calls {
		d.do(func() func(*engine.Engine) {
			result := d.call(c)
			return func(e *engine.Engine) { e.Done(result) }
		})
	}
	if r.Network {
		d.do(d.readNetwork)
	}
	if look := r.List; look != nil {
		d.do(func() func(*engine.Engine) { return d.list(look) })
	}
}

// do runs f and hands what it returns to the loop. After the proxy has stopped nobody waits
// for it.
func (d *driver) do(f func() func(*engine.Engine)) {
	go func() {
		take := f()
		select {
		case d.answers <- take:
		case <-d.ctx.Done():
		}
	}()
}

func (d *driver) call(c engine.Call) engine.Result {
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

func (d *driver) readNetwork() func(*engine.Engine) {
	f, n, err := d.questions.ask(d.ctx)
	if err == nil && d.cfg.Fit != nil {
		if unfit := d.cfg.Fit(f, n); unfit != nil {
			return func(*engine.Engine) { d.unfit = unfit }
		}
	}
	return func(e *engine.Engine) { e.NetworkRead(f, n, err) }
}

func (d *driver) list(look *engine.ListRequest) func(*engine.Engine) {
	var list observed.List
	var err error
	if !look.EndpointsOnly {
		list.LoadBalancers, err = d.cfg.Driver.LoadBalancers(d.ctx)
	}
	// After the load balancers, so that what they name is in the list.
	if err == nil || hnslb.ErrorClass(err) != hnslb.Unavailable {
		eps, endpointsErr := d.cfg.Driver.Endpoints(d.ctx)
		list.Endpoints = eps
		if err == nil || endpointsErr != nil {
			err = endpointsErr
		}
	}
	return func(e *engine.Engine) { e.Listed(look, list, err) }
}

// finish ends what was begun. Between the deletion of a load balancer and the creation after
// it the VIP serves nobody, and stopping there would leave it so until the next start (law 8).
func (d *driver) finish() {
	d.engine.Stop()
	for d.engine.Finishing() && d.ctx.Err() == nil {
		r := d.engine.Ready(d.cfg.Clock.Now())
		d.report.publish(r.Transitions)
		d.begin(engine.Ready{Calls: r.Calls})
		var timer <-chan time.Time
		if !r.Wake.IsZero() {
			t := d.cfg.Clock.NewTimer(max(r.Wake.Sub(d.cfg.Clock.Now()), 0))
			timer = t.C()
			defer t.Stop()
		}
		select {
		case take := <-d.answers:
			d.input(take)
		case <-timer:
		case <-d.ctx.Done():
		}
	}
}
