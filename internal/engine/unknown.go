// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/plan"
)

// markUnknown notes that what became of a call is unknown: its object waits for a list (law 6), unless
// the call can be repeated as it was.
func (e *Engine) markUnknown(c *Call) {
	switch s := c.Step.(type) {
	case plan.UpdateLoadBalancer:
		// It exists all the same, so that it can be changed again without a look.
		e.view.MarkUncertain(s.Frontend.Key, s.LoadBalancer.Endpoints)
		if !c.hanging {
			return
		}
	case plan.DeleteLoadBalancer, plan.DeleteEndpoint:
		// It can be deleted again by its ID: HNS says so when it is gone already.
		if !c.hanging {
			e.deleting[c.task] = idOf(s)
			return
		}
	}
	e.unknown[c.task] = c.Step.Backends()
	e.requestList(c.task)
}

// mayBeGone tells whether a plan leaves an object as it is that may have been deleted: the answer
// to its deletion was lost, and meanwhile it is wanted again.
func (e *Engine) mayBeGone(t task, p plan.Unit) bool {
	id, doubted := e.deleting[t]
	return doubted && !slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return idOf(s) == id })
}

// listFirst ends a unit whose object may be gone, until a list shows whether it is.
func (e *Engine) listFirst(u *unit) *Call {
	delete(e.deleting, u.task)
	e.unknown[u.task] = nil
	e.requestList(u.task)
	e.endUnit(u)
	return nil
}

// idOf returns the ID of the object that a step changes or deletes, "" for one that it makes.
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
