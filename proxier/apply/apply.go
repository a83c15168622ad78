// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

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
}

// Run carries out one unit in order. The view must not be used by others meanwhile.
//
// Up to width endpoints that stand side by side in the unit are created at once; less than
// one counts as one. HNS carries out one write at a time, but with a second one waiting it
// need not wait for what surrounds a write.
//
// A failed endpoint does not stop the making of others, but the load balancer that was
// planned with it is left as it is: without it there may be nothing to change, or nobody
// to name. Anything else that fails stops the unit. Deleting what is gone already is a
// success.
func Run(ctx context.Context, d hnslb.Driver, v *observed.View, u plan.Unit, width int) Result {
	r := Result{}
	for steps := u.Steps; len(steps) > 0; {
		if creates := leadingCreates(steps); len(creates) > 0 {
			r.create(ctx, d, v, creates, width)
			if r.Err != nil {
				return r
			}
			steps = steps[len(creates):]
			continue
		}
		if len(r.Endpoints) > 0 {
			return r
		}
		s := steps[0]
		steps = steps[1:]
		if err := step(ctx, d, v, s); err != nil {
			r.Unknown = reread(v, s, err)
			r.Err, r.Op = err, s.Op
			return r
		}
		r.Steps++
	}
	return r
}

func step(ctx context.Context, d hnslb.Driver, v *observed.View, s plan.Step) error {
	switch s.Op {
	case plan.DeleteEndpoint:
		return forget(d.DeleteEndpoint(ctx, s.ID), func() { v.RemoveEndpoint(s.ID) })
	case plan.CreateLoadBalancer:
		lb, err := compose(v, s)
		if err != nil {
			return err
		}
		held, err := d.CreateLoadBalancer(ctx, lb)
		if err == nil {
			v.PutLoadBalancer(lb, held)
		}
		return err
	case plan.UpdateLoadBalancer:
		return update(ctx, d, v, s)
	case plan.DeleteLoadBalancer:
		return forget(d.DeleteLoadBalancer(ctx, s.ID), func() { v.RemoveLoadBalancer(s.ID, s.Key) })
	}
	return fmt.Errorf("unknown step %d", s.Op)
}

// update changes a load balancer in place and holds HNS to its word.
func update(ctx context.Context, d hnslb.Driver, v *observed.View, s plan.Step) error {
	lb, err := compose(v, s)
	if err != nil {
		return err
	}
	lb.ID = s.ID
	held, err := d.UpdateLoadBalancer(ctx, lb)
	if err != nil {
		return err
	}
	if !sameEndpoints(held.Endpoints, lb.Endpoints) {
		return &hnslb.Error{Verb: hnslb.VerbUpdateLoadBalancer, Object: s.Key.String(), Class: hnslb.Unsupported, Err: ErrModifyLies}
	}
	v.PutLoadBalancer(lb, held)
	return nil
}

// compose names the endpoints of the step by their HNS IDs. Endpoints that failed a
// moment ago are left out; an empty list is never sent (law 12).
func compose(v *observed.View, s plan.Step) (hnslb.LoadBalancer, error) {
	lb := s.Frontend.LoadBalancer()
	for _, ip := range s.Backends {
		if e := v.Endpoint(ip); e != nil {
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

// forget runs done after a deletion that worked, or that came too late.
func forget(err error, done func()) error {
	if err == nil || hnslb.ErrorClass(err) == hnslb.NotFound {
		done()
		return nil
	}
	return err
}

// reread marks the view stale when the error says that it is not what HNS holds, and
// tells whether it did.
func reread(v *observed.View, s plan.Step, err error) bool {
	stale := hnslb.OutcomeUnknown(err)
	switch hnslb.ErrorClass(err) {
	case hnslb.NotFound, hnslb.AlreadyExists, hnslb.PortInUse:
		// Something we counted on is gone, or something is there that we did not know.
		stale = stale || s.Op != plan.DeleteEndpoint
	}
	if stale {
		v.MarkStale()
	}
	return stale
}
