// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"slices"

	"github.com/hnsproxy/hnsproxy/internal/plan"
)

// Stop lets the engine begin nothing but what must follow a call that was made: between the
// deletion of a load balancer and the creation after it the VIP serves nobody (law 8).
func (e *Engine) Stop() { e.stopping = true }

// Finishing tells whether calls are in progress, or must follow. A deletion that is late counts,
// too: on a slow HNS it comes back yet, and its VIP would serve nobody. Whoever stops the engine
// sets a limit to the wait.
func (e *Engine) Finishing() bool {
	return e.calls.running() > 0 || e.calls.exclusive != nil && e.calls.exclusive.down || e.calls.hasLateDeletion() || len(e.downFrontends()) > 0
}

// hasLateDeletion tells whether the deletion of a load balancer has not returned yet, and may soon.
func (c *calls) hasLateDeletion() bool {
	for _, call := range c.inFlight {
		if _, deletes := call.Step.(plan.DeleteLoadBalancer); deletes && !call.reported && !call.orphaned {
			return true
		}
	}
	return false
}

// downFrontends returns the frontends whose load balancer was deleted, and that have none yet though
// nothing is known to prevent it.
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

// restoreDown returns the creation for a frontend that was darkened before the engine was stopped,
// nil for none.
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
		delete(e.down, t) // it needs more than a load balancer
	}
	return nil
}
