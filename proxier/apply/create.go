// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"github.com/hnsproxy/hnsproxy/hnslb"
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

// making is one endpoint that a batch has begun to make, for whichever units need it.
type making struct {
	done    chan struct{}
	err     error
	unknown bool
	// unfinished: it was not begun after all.
	unfinished bool
}

// create makes the endpoints of one unit.
func (w *worker) create(ctx context.Context, steps []plan.Step, r *Result) {
	var group errgroup.Group
	group.SetLimit(w.width)
	for _, s := range steps {
		group.Go(func() error {
			m, first := w.begin(s)
			if first {
				w.make(ctx, s, m)
			}
			<-m.done
			w.mu.Lock()
			defer w.mu.Unlock()
			r.made(s, m)
			return nil
		})
	}
	_ = group.Wait() // what failed is in r
}

// begin returns the making of an endpoint, and whether it is the caller who has to do it.
func (w *worker) begin(s plan.Step) (m *making, first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ip := s.Endpoint.IPs[0]
	if m := w.making[ip]; m != nil {
		return m, false
	}
	m = &making{done: make(chan struct{})}
	w.making[ip] = m
	if w.view.Endpoint(ip) != nil {
		close(m.done)
		return m, false
	}
	return m, true
}

func (w *worker) make(ctx context.Context, s plan.Step, m *making) {
	defer close(m.done)
	var e hnslb.Endpoint
	m.unfinished = !w.call(func() { e, m.err = w.driver.CreateEndpoint(ctx, s.Endpoint) }, func() {
		if m.err == nil {
			w.view.PutCreatedEndpoint(s.Endpoint, e)
			return
		}
		m.unknown = w.reread(s, m.err)
	})
}

// made takes note of what came of the making of an endpoint.
func (r *Result) made(s plan.Step, m *making) {
	switch {
	case m.unfinished:
		r.Unfinished = true
	case m.err == nil:
		r.Steps++
	default:
		if r.Endpoints == nil {
			r.Endpoints = map[netip.Addr]error{}
		}
		r.Endpoints[s.Endpoint.IPs[0]] = m.err
		if m.unknown {
			r.Unknown, r.Err, r.Op = true, m.err, s.Op
		}
	}
}
