// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/backoff"
	"github.com/hnsproxy/hnsproxy/internal/observed"
)

const (
	// endpointsPause and allPause are the minimum times from the end of one list to the start of
	// the next, for endpoints and for all objects. All requests during the pause share the next
	// list.
	endpointsPause = 120 * time.Millisecond
	allPause       = 400 * time.Millisecond
	// refusalPause is the minimum time between two lists that refused calls request.
	refusalPause = 5 * time.Second
	// listShare limits the share of time that HNS spends on our lists: a list of 1 s is followed by
	// 1 s without one.
	listShare = 1
	// The time limit of a list, in multiples of the call timeout; it doubles each time it is
	// exceeded. Lists may take longer than other calls, since they make up to three HNS calls per
	// object.
	minListTimeoutFactor, maxListTimeoutFactor = 1, 32
	// mergeBatchSize is how many objects of a list are merged before other work gets its turn.
	mergeBatchSize = 512
	// checkBatchSize is how many frontends are checked at a time after an audit.
	checkBatchSize = 64
)

// ListRequest requests a list of the endpoints and, unless EndpointsOnly is set, of the load
// balancers after them.
type ListRequest struct{ EndpointsOnly bool }

// listing tracks which lists are requested, in progress and being merged.
type listing struct {
	auditPeriod time.Duration
	// endpointsWanted and allWanted request a list, since wantedSince. listed is true once
	// everything was listed since HNS became available.
	endpointsWanted, allWanted, listed bool
	wantedSince                        time.Time
	// endpointsAfter and allAfter are the earliest times of the next list.
	endpointsAfter, allAfter time.Time
	// lastRefusal is when a refused call last requested a list. refusalDue is when a delayed
	// request is made, the zero time for never.
	lastRefusal, refusalDue time.Time
	// auditDue is when everything is listed next without any request.
	auditDue time.Time
	// inProgress is the list in progress, merging the one being merged; nil for none.
	inProgress *ListRequest
	merging    *ListRequest
	startedAt  time.Time
	touched    observed.Touched
	merge      *observed.Merge
	// auditing: the list is an audit, so a difference means that another program changed HNS.
	auditing bool
	list     observed.List
	// check holds the frontends still to be compared after an audit.
	check []hnslb.FrontendKey
	// backoff and lastReported apply to failed lists.
	backoff      *backoff.Backoff[string]
	lastReported time.Time
	// timeoutFactor is the time limit of a list in multiples of Config.CallTimeout.
	timeoutFactor int
}

func newListing(cfg Config) listing {
	return listing{auditPeriod: cfg.AuditPeriod, allWanted: true, wantedSince: cfg.Start, backoff: backoff.New[string](cfg.Seed),
		touched: observed.NewTouched(), timeoutFactor: minListTimeoutFactor}
}

// requestAll requests a list of everything.
func (l *listing) requestAll(now time.Time) {
	if !l.allWanted && !l.endpointsWanted {
		l.wantedSince = now
	}
	l.allWanted = true
}

// requestAfterRefusal requests a list of everything because a call was refused, and returns whether
// it is made now. If many calls are refused for the same reason, the request is delayed to share
// one list per refusalPause.
func (l *listing) requestAfterRefusal(now time.Time, many bool) bool {
	next := l.lastRefusal.Add(refusalPause)
	if many && !l.allWanted && !l.lastRefusal.IsZero() && now.Before(next) {
		l.refusalDue = next
		return false
	}
	l.lastRefusal, l.refusalDue = now, time.Time{}
	l.requestAll(now)
	return true
}

// retryRefused requests the list that requestAfterRefusal delayed.
func (l *listing) retryRefused(now time.Time) {
	if !l.refusalDue.IsZero() && !now.Before(l.refusalDue) {
		l.requestAfterRefusal(now, true)
	}
}

// requestEndpoints requests a list of the endpoints.
func (l *listing) requestEndpoints(now time.Time) {
	if !l.allWanted && !l.endpointsWanted {
		l.wantedSince = now
	}
	l.endpointsWanted = true
}

// invalidate records that the state of HNS is unknown until everything has been listed again.
func (l *listing) invalidate(now time.Time) {
	l.listed, l.allWanted, l.wantedSince = false, true, now
	l.endpointsAfter, l.allAfter = time.Time{}, time.Time{}
	if l.inProgress != nil || l.merge != nil {
		// The list may have been started before the change.
		l.merge, l.auditing = nil, false
		l.inProgress = nil
	}
}

// busy returns whether a list is in progress, being merged, or requested for any reason but time.
func (l *listing) busy() bool {
	return l.inProgress != nil || l.merge != nil || l.allWanted || l.endpointsWanted || len(l.check) > 0
}

// Audit requests an audit now.
func (e *Engine) Audit() { e.listing.auditDue, e.listing.allAfter = e.now, time.Time{} }

// canWrite returns whether writes may be based on the view.
func (e *Engine) canWrite() bool {
	return e.env != nil && !e.hns.unavailable() && e.networkComplete() && e.listing.listed
}

// canList returns whether a list may be started: none is in progress, and all Services are known.
func (e *Engine) canList() bool {
	return e.listing.inProgress == nil && e.listing.merge == nil && e.env != nil && !e.hns.unavailable() && e.networkComplete() && !e.recomputing
}

// nextList returns the list to start now, nil for none.
func (e *Engine) nextList() *ListRequest {
	if !e.canList() {
		return nil
	}
	l := &e.listing
	l.retryRefused(e.now)
	audit := e.startsAudit()
	all := (audit || l.allWanted) && !e.now.Before(l.allAfter)
	endpoints := l.listed && (l.endpointsWanted || e.locals.wantsList(e.now)) && !e.now.Before(l.endpointsAfter)
	if !all && !endpoints {
		return nil
	}
	if all {
		l.refusalDue = time.Time{} // this list covers the delayed request
	}
	l.auditing = all && audit
	l.allWanted, l.endpointsWanted = l.allWanted && !all, false
	l.inProgress = &ListRequest{EndpointsOnly: !all}
	l.startedAt, l.touched = e.now, observed.NewTouched()
	for t, c := range e.calls.busy {
		if !c.hanging {
			c.list, c.knownBefore = l.inProgress, nil
			e.touch(t, false)
		}
	}
	e.locals.listStarted()
	return l.inProgress
}

// startsAudit returns whether to start an audit. The listed objects are judged by the network they
// are on, so the network is read first.
func (e *Engine) startsAudit() bool {
	l := &e.listing
	if !l.listed || l.auditDue.IsZero() || e.now.Before(l.auditDue) {
		return false
	}
	if e.hns.readAt.Before(l.auditDue) {
		e.CheckNetwork()
		return false
	}
	return true
}

// nextListDue returns when the next list is due, the zero time for never.
func (e *Engine) nextListDue() time.Time {
	l := &e.listing
	if l.inProgress != nil || l.merge != nil || e.env == nil || e.hns.unavailable() || !e.networkComplete() {
		return time.Time{}
	}
	all, endpoints := l.auditDue, e.locals.next
	if !all.IsZero() && !e.now.Before(all) {
		all = time.Time{} // the audit waits for the network
	}
	if l.allWanted {
		all = e.now
	}
	if l.endpointsWanted || len(e.locals.fresh) > 0 {
		endpoints = e.now
	}
	if !l.listed {
		endpoints = time.Time{}
	}
	return earliestTime(notBefore(all, l.allAfter), notBefore(endpoints, l.endpointsAfter), notBefore(l.refusalDue, l.allAfter))
}

// notBefore returns the later of t and limit; the zero time, which means never, stays zero.
func notBefore(t, limit time.Time) time.Time {
	if !t.IsZero() && t.Before(limit) {
		return limit
	}
	return t
}

// touch records, for the list in progress, that a call was made for an object, and whether its
// outcome is known.
func (e *Engine) touch(t task, known bool) {
	if e.listing.inProgress == nil && e.listing.merge == nil {
		return
	}
	if t.isFrontend() {
		e.listing.touched.Frontends[t.key] = known
	} else if t.ip.IsValid() {
		e.listing.touched.Addresses[t.ip] = known
	}
}

// untouch reverts touch for a call that HNS refused, since it changed nothing. If the call began
// before the list or before another call of the object, the earlier record is restored.
func (e *Engine) untouch(c *Call) {
	if c.list != e.listing.inProgress && c.list != e.listing.merging {
		return
	}
	if c.knownBefore != nil {
		e.touch(c.task, *c.knownBefore)
		return
	}
	delete(e.listing.touched.Addresses, c.task.ip)
	if c.task.isFrontend() {
		delete(e.listing.touched.Frontends, c.task.key)
	}
}

// touchedState returns what touch recorded for an object, nil for nothing.
func (e *Engine) touchedState(t task) *bool {
	known, ok := e.listing.touched.Addresses[t.ip]
	if t.isFrontend() {
		known, ok = e.listing.touched.Frontends[t.key]
	}
	if !ok {
		return nil
	}
	return &known
}

// wasTouched returns whether the list says nothing about an object because a call was made for it.
func (e *Engine) wasTouched(t task) bool {
	_, address := e.listing.touched.Addresses[t.ip]
	_, frontend := e.listing.touched.Frontends[t.key]
	return address || frontend && t.isFrontend()
}

// Listed takes the result of a list that Ready.List requested.
func (e *Engine) Listed(look *ListRequest, list observed.List, err error) {
	l := &e.listing
	if l.inProgress != look {
		return // the list was given up, or HNS or the network has changed
	}
	l.inProgress, l.merging = nil, look
	took := listShare * e.now.Sub(l.startedAt)
	l.endpointsAfter = e.now.Add(max(endpointsPause, took))
	if !look.EndpointsOnly {
		l.allAfter = e.now.Add(max(allPause, took))
	}
	if err != nil {
		e.listFailed(look, err)
		if list.Endpoints == nil || look.EndpointsOnly {
			return
		}
		// The endpoints were listed; they are useful without the load balancers.
		list.EndpointsOnly = true
		l.list, l.merge = list, e.view.Merge(list, l.touched)
		return
	}
	l.backoff.Succeeded("list")
	l.timeoutFactor = minListTimeoutFactor
	l.lastReported = time.Time{}
	list.EndpointsOnly = look.EndpointsOnly
	l.list = list
	l.merge = e.view.Merge(list, l.touched)
}

func (e *Engine) listFailed(look *ListRequest, err error) {
	l := &e.listing
	e.locals.listFailed()
	if look.EndpointsOnly {
		l.endpointsWanted = true
	} else {
		l.allWanted = true
	}
	at := l.backoff.Failed("list", err, e.now)
	if limit := e.now.Add(maxConnectionRetry); at.After(limit) {
		at = limit
	}
	l.endpointsAfter, l.allAfter = notBefore(l.endpointsAfter, at), notBefore(l.allAfter, at)
	if l.allAfter.IsZero() {
		l.allAfter = at
	}
	if class := hnslb.ErrorClass(err); class == hnslb.Unavailable || class == hnslb.Timeout {
		e.hns.recheck()
	}
	if l.lastReported.IsZero() || !e.now.Before(l.lastReported.Add(reportInterval)) {
		l.lastReported = e.now
		e.emit(ListFailed{err})
	}
}

// expireList gives up a list that exceeds its time limit. Its thread stays occupied until HNS
// answers.
func (e *Engine) expireList() {
	l := &e.listing
	if due := e.listDeadline(); due.IsZero() || e.now.Before(due) {
		return
	}
	look := l.inProgress
	l.inProgress = nil
	l.timeoutFactor = min(2*l.timeoutFactor, maxListTimeoutFactor)
	e.listFailed(look, &hnslb.Error{Verb: hnslb.VerbEndpoints, Object: "all", Class: hnslb.Timeout, Err: errNoAnswer})
}

// listDeadline returns when the list in progress is given up, the zero time for never.
func (e *Engine) listDeadline() time.Time {
	l := &e.listing
	if l.inProgress == nil || e.callTimeout() <= 0 {
		return time.Time{}
	}
	return l.startedAt.Add(time.Duration(l.timeoutFactor) * e.callTimeout())
}
