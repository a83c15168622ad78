// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/observed"
	"github.com/hnsproxy/hnsproxy/proxier/plan"
)

// ErrModifyLies says that HNS reported success for a change in place and kept what it
// had, as Windows Server 2025 did at release (HNS 15.4, k8s issue 131466).
var ErrModifyLies = errors.New("HNS reported success but kept the old load balancer")

// Result is what came of one unit.
type Result struct {
	// Steps that succeeded.
	Steps int
	// Err is why the frontend, or the endpoint of an endpoint unit, failed.
	Err error
	// Op is the step that failed with Err.
	Op plan.Op
	// Endpoints that could not be created, each with its error. The load balancer was not
	// written: the next plan does it without them (law 9).
	Endpoints map[netip.Addr]error
	// Unknown tells that a call may have taken effect although it failed: HNS has to be
	// listed before more is decided.
	Unknown bool
	// Unfinished tells that steps were not begun: a call for another unit had an unknown
	// outcome, or the batch was stopped.
	Unfinished bool
}

// Target is what units are carried out on.
type Target struct {
	Driver hnslb.Driver
	// View must not be used by others during a batch.
	View *observed.View
	// Width is how many calls are made at once; less than one counts as one. HNS carries
	// out one write at a time, but with another one waiting it need not wait for the calls
	// that write nothing, which surround each write.
	Width int
}

// Batch carries out units, the steps of each in order, and returns what came of them.
// Units in which two calls must be adjacent run alone, after the others (law 8). Once stop
// is closed no other unit is begun; those under way are ended.
//
// A failed endpoint does not stop the making of others, but the load balancer that was
// planned with it is left as it is: without it there may be nothing to change, or nobody
// to name. Anything else that fails stops the unit, and an unknown outcome the batch.
// Deleting what is gone already is a success.
func Batch(ctx context.Context, t Target, units []plan.Unit, stop <-chan struct{}) []Result {
	width := max(t.Width, 1)
	w := &worker{driver: t.Driver, view: t.View, width: width, stop: stop,
		slots: make(chan struct{}, width), making: map[netip.Addr]*making{}}
	results := make([]Result, len(units))
	var group errgroup.Group
	group.SetLimit(width)
	for i, u := range units {
		if !u.Adjacent() {
			group.Go(func() error {
				w.run(ctx, u, &results[i])
				return nil
			})
		}
	}
	_ = group.Wait() // what failed is in the results
	for i, u := range units {
		if u.Adjacent() {
			w.run(ctx, u, &results[i])
		}
	}
	return results
}

// worker carries out the units of one batch.
type worker struct {
	driver hnslb.Driver
	width  int
	stop   <-chan struct{}
	// slots has room for the calls that may be made at once.
	slots chan struct{}

	mu   sync.Mutex // guards all below, and what results say of endpoints
	view *observed.View
	// making are the endpoints that this batch has begun to make.
	making map[netip.Addr]*making
	// doubt tells that a call had an unknown outcome: no other is begun.
	doubt bool
}

// call makes one call of the driver when there is room for it; then, with mu held, note
// takes note of what came of it. It does nothing, and is false, in doubt.
func (w *worker) call(do func(), note func()) bool {
	w.slots <- struct{}{}
	defer func() { <-w.slots }()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.doubt {
		return false
	}
	w.mu.Unlock()
	do()
	w.mu.Lock()
	note()
	return true
}

func (w *worker) run(ctx context.Context, u plan.Unit, r *Result) {
	select {
	case <-w.stop:
		r.Unfinished = true
	default:
	}
	for steps := u.Steps; len(steps) > 0 && !r.stopped(); {
		if creates := leadingCreates(steps); len(creates) > 0 {
			w.create(ctx, creates, r)
			steps = steps[len(creates):]
			continue
		}
		if len(r.Endpoints) > 0 {
			return
		}
		w.step(ctx, steps[0], r)
		steps = steps[1:]
	}
}

func (r *Result) stopped() bool { return r.Err != nil || r.Unfinished }

// step carries out one step that is not the creation of an endpoint.
func (w *worker) step(ctx context.Context, s plan.Step, r *Result) {
	lb, err := w.compose(s)
	if err != nil {
		r.Err, r.Op = err, s.Op
		return
	}
	var held hnslb.LoadBalancer
	begun := w.call(func() { held, err = w.write(ctx, s, lb) }, func() {
		if err == nil {
			w.remember(s, lb, held)
			r.Steps++
			return
		}
		r.Err, r.Op = err, s.Op
		r.Unknown = w.reread(s, err)
	})
	r.Unfinished = !begun
}

// write makes the call of a step.
func (w *worker) write(ctx context.Context, s plan.Step, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	switch s.Op {
	case plan.DeleteEndpoint:
		return lb, gone(w.driver.DeleteEndpoint(ctx, s.ID))
	case plan.DeleteLoadBalancer:
		return lb, gone(w.driver.DeleteLoadBalancer(ctx, s.ID))
	case plan.CreateLoadBalancer:
		return w.driver.CreateLoadBalancer(ctx, lb)
	case plan.UpdateLoadBalancer:
		held, err := w.driver.UpdateLoadBalancer(ctx, lb)
		if err == nil && !sameEndpoints(held.Endpoints, lb.Endpoints) {
			// HNS is held to its word.
			err = &hnslb.Error{Verb: hnslb.VerbUpdateLoadBalancer, Object: s.Key.String(), Class: hnslb.Unsupported, Err: ErrModifyLies}
		}
		return held, err
	}
	return lb, fmt.Errorf("unknown step %d", s.Op)
}

// remember takes a step that succeeded into the view (law 6). mu is held.
func (w *worker) remember(s plan.Step, lb, held hnslb.LoadBalancer) {
	switch s.Op {
	case plan.DeleteEndpoint:
		w.view.RemoveEndpoint(s.ID)
	case plan.DeleteLoadBalancer:
		w.view.RemoveLoadBalancer(s.ID, s.Key)
	default:
		w.view.PutLoadBalancer(lb, held)
	}
}

// compose returns the load balancer that a step writes, if it writes one. It names the
// endpoints by their HNS IDs; an empty list is never sent (law 12).
func (w *worker) compose(s plan.Step) (hnslb.LoadBalancer, error) {
	if s.Frontend == nil {
		return hnslb.LoadBalancer{}, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	lb := s.Frontend.LoadBalancer()
	lb.ID = s.ID
	for _, ip := range s.Backends {
		if e := w.view.Endpoint(ip); e != nil {
			lb.Endpoints = append(lb.Endpoints, e.ID)
		}
	}
	if len(lb.Endpoints) == 0 {
		return lb, fmt.Errorf("%s: none of its %d backends has an HNS endpoint", s.Key, len(s.Backends))
	}
	return lb, nil
}

func sameEndpoints(a, b []hnslb.ID) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// gone makes a success of a deletion that came too late.
func gone(err error) error {
	if hnslb.ErrorClass(err) == hnslb.NotFound {
		return nil
	}
	return err
}

// reread marks the view stale when the error says that it is not what HNS holds, and
// tells whether it did. mu is held.
func (w *worker) reread(s plan.Step, err error) bool {
	stale := hnslb.OutcomeUnknown(err)
	switch hnslb.ErrorClass(err) {
	case hnslb.NotFound, hnslb.AlreadyExists, hnslb.PortInUse:
		// Something we counted on is gone, or something is there that we did not know.
		stale = stale || s.Op != plan.DeleteEndpoint
	}
	if stale {
		w.view.MarkStale()
		w.doubt = true
	}
	return stale
}
