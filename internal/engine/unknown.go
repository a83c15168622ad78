// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/plan"
)

// markUnknown records that the outcome of a call is unknown. Its object waits for a list (law 6),
// unless the same call can be repeated.
func (e *Engine) markUnknown(c *Call) {
	switch s := c.Step.(type) {
	case plan.UpdateLoadBalancer:
		// The load balancer exists either way, so the update can be repeated without a list.
		e.view.MarkUncertain(s.Frontend.Key, s.LoadBalancer.Endpoints)
		if !c.hanging {
			return
		}
	case plan.DeleteLoadBalancer, plan.DeleteEndpoint:
		// The deletion can be repeated by ID: HNS reports NotFound if it took effect.
		if !c.hanging {
			e.deleting[c.task] = idOf(s)
			return
		}
	}
	e.unknown[c.task] = c.Step.Backends()
	e.requestList(c.task)
}

// mayBeGone returns whether a plan keeps an object that may have been deleted: the result of its
// deletion was lost, and the object is wanted again.
func (e *Engine) mayBeGone(t task, p plan.Unit) bool {
	id, doubted := e.deleting[t]
	return doubted && !slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return idOf(s) == id })
}

// listFirst ends a unit whose object may have been deleted, and requests a list that shows whether
// it exists.
func (e *Engine) listFirst(u *unit) *Call {
	delete(e.deleting, u.task)
	e.unknown[u.task] = nil
	e.requestList(u.task)
	e.endUnit(u)
	return nil
}

// idOf returns the ID of the object that a step updates or deletes, "" for a create.
func idOf(s plan.Step) hnslb.ID {
	switch s := s.(type) {
	case plan.UpdateLoadBalancer:
		return s.LoadBalancer.ID
	case plan.DeleteLoadBalancer:
		return s.ID
	case plan.DeleteEndpoint:
		return s.ID
	}
	return ""
}
