// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"slices"

	"github.com/hnsproxy/hnsproxy/internal/plan"
)

// Stop makes the engine start only calls that complete a change in progress: between the deletion
// of a load balancer and its re-creation the VIP serves no traffic (law 8).
func (e *Engine) Stop() { e.stopping = true }

// Finishing returns whether calls are in progress or must follow. A late deletion counts too: on a
// slow HNS it may still take effect and leave its VIP without a load balancer. The caller limits
// how long it waits.
func (e *Engine) Finishing() bool {
	return e.calls.running() > 0 || e.calls.exclusive != nil && e.calls.exclusive.down || e.calls.hasLateDeletion() || len(e.downFrontends()) > 0
}

// hasLateDeletion returns whether the deletion of a load balancer has not returned and has not
// exceeded the call timeout.
func (c *calls) hasLateDeletion() bool {
	for _, call := range c.inFlight {
		if _, deletes := call.Step.(plan.DeleteLoadBalancer); deletes && !call.reported && !call.orphaned {
			return true
		}
	}
	return false
}

// downFrontends returns the frontends whose load balancer was deleted and not re-created, without a
// known failure that prevents it.
func (e *Engine) downFrontends() []task {
	var out []task
	for t := range maps.Keys(e.down) {
		f := e.state.Frontend(t.key)
		if f == nil || f.Reserved || f.Blocked.Reason != "" || e.view.LoadBalancer(t.key) != nil {
			delete(e.down, t)
		} else if e.backoff.Err(t) == nil {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, task.compare)
	return out
}

// restoreDown returns the call that re-creates the load balancer of a frontend that was down when
// the engine was stopped, nil for none.
func (e *Engine) restoreDown() *Call {
	for _, t := range e.downFrontends() {
		if _, unknown := e.unknown[t]; unknown || e.calls.busy[t] != nil {
			continue
		}
		u := &unit{task: t, class: plan.Critical, since: e.now, down: true}
		e.calls.units[t] = u
		if call := e.nextStep(u); call != nil {
			return call
		}
		delete(e.down, t) // its load balancer cannot be created with one call
	}
	return nil
}
