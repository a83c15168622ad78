// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"maps"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/observed"
	"github.com/hnsproxy/hnsproxy/internal/plan"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// mergeBatch merges a part of a list, or checks some frontends after an audit, and returns whether
// there is more to do.
func (e *Engine) mergeBatch() bool {
	l := &e.listing
	if l.merge == nil {
		return e.checkBatch()
	}
	n := mergeBatchSize
	if !l.listed {
		n = 1 << 30 // nothing else can start before the first list is merged
	}
	for l.merge.Step(n) {
		if l.listed {
			return true
		}
	}
	e.merged()
	return len(l.check) > 0
}

// merged processes the differences that a merged list showed.
func (e *Engine) merged() {
	l := &e.listing
	drift, list := l.merge.Drift(), l.list
	slices.SortFunc(drift.Addresses, netip.Addr.Compare)
	drift.Addresses = slices.Compact(drift.Addresses)
	slices.SortFunc(drift.Frontends, hnslb.FrontendKey.Compare)
	drift.Frontends = slices.Compact(drift.Frontends)
	l.merge, l.list = nil, observed.List{}
	if !list.EndpointsOnly && plan.LearnFlags(e.state, e.view) {
		e.enqueueAll() // load balancers may have become ours
	}
	if l.auditing && len(drift.Frontends)+len(drift.Endpoints) > 0 {
		e.emit(Drifted{len(drift.Frontends), len(drift.Endpoints)})
	}
	if drift.Incomplete {
		e.listing.requestEndpoints(e.now)
		l.allWanted = l.allWanted || !list.EndpointsOnly
	}
	e.backOffReturned(drift)
	for _, ip := range e.locals.listMerged(e.now) {
		e.enqueueUsers(ip)
	}
	e.enqueueDeferred()
	e.updateRoot(list.Endpoints)
	e.adoptRoutes()
	e.resolveUnknown(list.EndpointsOnly)
	e.enqueueDrift(drift)
	l.touched = observed.NewTouched()
	if list.EndpointsOnly {
		return
	}
	first := !l.listed
	l.listed, l.auditing = true, false
	l.auditDue = e.now.Add(l.auditPeriod)
	if !first {
		l.check = slices.Collect(e.state.Keys)
	}
}

// enqueueDrift queues every object that a list showed to be different.
func (e *Engine) enqueueDrift(drift observed.Drift) {
	e.enqueueSourceVIP()
	for _, ip := range drift.Addresses {
		t := endpointTask(ip)
		if err := e.backoff.Err(t); err != nil && !errors.Is(err, errDeletionUndone) && e.view.Endpoint(ip) != nil && e.wanted(ip) {
			e.backoff.Succeeded(t) // another program created it
		}
		e.enqueueUsers(ip)
		e.enqueueEndpoint(ip)
	}
	for _, ip := range drift.Idle {
		if len(e.plan(endpointTask(ip)).Steps) > 0 {
			e.enqueueEndpoint(ip) // a leftover
		}
	}
	in := e.input()
	for _, key := range slices.Concat(drift.Frontends, drift.Health) {
		e.enqueueFrontend(in, key)
	}
	for _, id := range e.view.HalfMade() {
		e.enqueue(task{id: id}, plan.LeftoverEndpoint)
	}
	e.enqueueFreed()
}

// wanted returns whether an endpoint of ours should exist at an address.
func (e *Engine) wanted(ip netip.Addr) bool { return e.state.Role(ip) != desired.Unwanted }

// backOffReturned starts the backoff of objects that HNS reported as deleted but still lists.
func (e *Engine) backOffReturned(d observed.Drift) {
	if n := len(d.ReturnedEndpoints) + len(d.ReturnedFrontends); n > 0 {
		e.emit(DeletionsUndone{n})
	}
	for _, ip := range d.ReturnedEndpoints {
		e.backOff(endpointTask(ip), errDeletionUndone)
	}
	for _, key := range d.ReturnedFrontends {
		e.backOff(frontendTask(key), errDeletionUndone)
	}
	e.backoff.Forget(func(t task) bool {
		return t.ip.IsValid() && len(e.view.OwnAt(t.ip)) == 0 && len(e.state.Users(t.ip)) == 0
	})
}

// enqueueDeferred queues the frontends that waited for a list of local endpoints.
func (e *Engine) enqueueDeferred() {
	for _, t := range slices.SortedFunc(maps.Keys(e.locals.deferred), task.compare) {
		delete(e.locals.deferred, t)
		e.requeueNow(t)
	}
}

// resolveUnknown clears the unknown state of the objects that a list covered, and queues them.
func (e *Engine) resolveUnknown(endpointsOnly bool) {
	shown := func(t task) bool { return !e.wasTouched(t) && (!endpointsOnly || t.ip.IsValid()) }
	maps.DeleteFunc(e.deleting, func(t task, _ hnslb.ID) bool { return shown(t) })
	if len(e.unknown) == 0 {
		return
	}
	var resolved []task
	for t := range e.unknown {
		if shown(t) {
			resolved = append(resolved, t)
		}
	}
	slices.SortFunc(resolved, task.compare)
	for _, t := range resolved {
		pinned := e.unknown[t]
		delete(e.unknown, t)
		for _, ip := range pinned {
			e.requeue(endpointTask(ip))
		}
	}
	for _, t := range resolved {
		e.requeueNow(t)
	}
	for t := range e.unknown {
		e.requestList(t)
	}
}

// requestList requests the list that shows the state of an object.
func (e *Engine) requestList(t task) {
	if t.ip.IsValid() {
		e.listing.requestEndpoints(e.now)
	} else {
		e.listing.requestAll(e.now)
	}
}

// checkBatch compares some frontends with HNS after an audit, whether or not the audit found them
// different, so that work that was missed is found.
func (e *Engine) checkBatch() bool {
	l := &e.listing
	n := min(checkBatchSize, len(l.check))
	if n == 0 || !e.canWrite() {
		return false
	}
	in := e.input()
	for _, key := range l.check[:n] {
		if _, unknown := e.unknown[frontendTask(key)]; unknown || e.calls.busy[frontendTask(key)] != nil {
			continue
		}
		if u := plan.Frontend(in, key); !u.Empty() {
			e.enqueueFrontend(in, key)
		}
	}
	if l.check = l.check[n:]; len(l.check) == 0 {
		l.check = nil
	}
	return len(l.check) > 0
}

// updateRoot finds the node's own endpoint in a list.
func (e *Engine) updateRoot(eps []hnslb.Endpoint) {
	root := desired.FindRoot(eps, e.hns.network.ID, e.cfg.Options.RootEndpoint)
	if root == e.hns.root {
		return
	}
	e.hns.root = root
	e.refreshEnv()
}
