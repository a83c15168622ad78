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
	// endpointsPause and allPause are the shortest times from the end of a list to the start
	// of the next one, of endpoints and of everything. Whoever needs a list shares it.
	endpointsPause = 120 * time.Millisecond
	allPause       = 400 * time.Millisecond
	// refusalPause is the shortest time between two lists that refused calls ask for.
	refusalPause = 5 * time.Second
	// listShare bounds the part of its time that HNS lists for us: a list of 1 s is followed
	// by 1 s without one.
	listShare = 1
	// A list may take longer than another call: it is up to three HNS calls per object, the
	// others are five at most. One that does not come is given up after minListTimeoutFactor
	// times the time of a call, and then after twice as long each time.
	minListTimeoutFactor, maxListTimeoutFactor = 1, 32
	// mergeBatchSize is how many objects of a list are taken in before anything else has its turn.
	mergeBatchSize = 512
	// checkBatchSize is how many frontends are checked in one turn after an audit.
	checkBatchSize = 64
)

// ListRequest is a list to make: of the endpoints, and of the load balancers after them unless only
// endpoints are needed.
type ListRequest struct{ EndpointsOnly bool }

// listing follow what has to be listed, and when.
type listing struct {
	auditPeriod time.Duration
	// endpointsWanted and want ask for a list; listed tells that everything was listed since HNS
	// was found.
	endpointsWanted, allWanted, listed bool
	wantedSince                        time.Time
	// endpointsAfter and allAfter are when the next list may be begun.
	endpointsAfter, allAfter time.Time
	// lastRefusal is when a refused call asked for a list last, later when it does again, the zero
	// time for never.
	lastRefusal, refusalDue time.Time
	// startsAudit is when everything is listed next without anybody asking.
	auditDue time.Time
	// inProgress is in progress, merging the one that is taken in.
	inProgress *ListRequest
	merging    *ListRequest
	startedAt  time.Time
	touched    observed.Touched
	merge      *observed.Merge
	// auditing: what is found different was changed by somebody else.
	auditing bool
	list     observed.List
	// check are frontends still to be compared after an audit.
	check []hnslb.FrontendKey
	// backoff and told of lists that fail.
	backoff      *backoff.Backoff[string]
	lastReported time.Time
	// timeoutFactor is how long a list may take, in times of Config.CallTimeout.
	timeoutFactor int
}

func newListing(cfg Config) listing {
	return listing{auditPeriod: cfg.AuditPeriod, allWanted: true, wantedSince: cfg.Start, backoff: backoff.New[string](cfg.Seed),
		touched: observed.NewTouched(), timeoutFactor: minListTimeoutFactor}
}

// requestAll asks for a list of everything.
func (l *listing) requestAll(now time.Time) {
	if !l.allWanted && !l.endpointsWanted {
		l.wantedSince = now
	}
	l.allWanted = true
}

// requestAfterRefusal asks for a list of everything, and tells whether it is made now. Where many
// are refused for one reason, a list that was asked for a moment ago has to do for a while.
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

// retryRefused asks for the list that refused calls have waited for.
func (l *listing) retryRefused(now time.Time) {
	if !l.refusalDue.IsZero() && !now.Before(l.refusalDue) {
		l.requestAfterRefusal(now, true)
	}
}

// requestEndpoints asks for a list of the endpoints.
func (l *listing) requestEndpoints(now time.Time) {
	if !l.allWanted && !l.endpointsWanted {
		l.wantedSince = now
	}
	l.endpointsWanted = true
}

// invalidate says that nothing is known of HNS until it was listed again.
func (l *listing) invalidate(now time.Time) {
	l.listed, l.allWanted, l.wantedSince = false, true, now
	l.endpointsAfter, l.allAfter = time.Time{}, time.Time{}
	if l.inProgress != nil || l.merge != nil {
		// It may be of the time before.
		l.merge, l.auditing = nil, false
		l.inProgress = nil
	}
}

// busy tells whether a list is in progress or asked for by something other than time.
func (l *listing) busy() bool {
	return l.inProgress != nil || l.merge != nil || l.allWanted || l.endpointsWanted || len(l.check) > 0
}

// Audit asks for a list of everything now.
func (e *Engine) Audit() { e.listing.auditDue, e.listing.allAfter = e.now, time.Time{} }

// canWrite tells whether writes may rest on the view.
func (e *Engine) canWrite() bool {
	return e.env != nil && !e.hns.unavailable() && e.networkComplete() && e.listing.listed
}

// canList tells whether a list may be begun: none is in progress, and the Services for which it
// is of use are known.
func (e *Engine) canList() bool {
	return e.listing.inProgress == nil && e.listing.merge == nil && e.env != nil && !e.hns.unavailable() && e.networkComplete() && !e.recomputing
}

// nextList returns the list to make now, nil for none.
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
		l.refusalDue = time.Time{} // it shows what those wanted to see
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

// startsAudit tells whether it is time for an audit. What is listed is judged by the network, so
// the network is asked for first.
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

// nextListDue returns when a list is due, the zero time for never.
func (e *Engine) nextListDue() time.Time {
	l := &e.listing
	if l.inProgress != nil || l.merge != nil || e.env == nil || e.hns.unavailable() || !e.networkComplete() {
		return time.Time{}
	}
	all, endpoints := l.auditDue, e.locals.next
	if !all.IsZero() && !e.now.Before(all) {
		all = time.Time{} // it waits for the network
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

// idleUntil moves a time behind another one; the zero time, for never, stays.
func notBefore(t, limit time.Time) time.Time {
	if !t.IsZero() && t.Before(limit) {
		return limit
	}
	return t
}

// touch notes that a call was made for an object, and whether what became of it is known.
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

// untouch takes back what touch noted of a call that HNS refused: nothing came of it. before is
// what was noted of its object, of the same list, when it began.
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

// touchedState returns what is noted of an object, nil for nothing.
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

// wasTouched tells whether a list says nothing about an object.
func (e *Engine) wasTouched(t task) bool {
	_, address := e.listing.touched.Addresses[t.ip]
	_, frontend := e.listing.touched.Frontends[t.key]
	return address || frontend && t.isFrontend()
}

// Listed takes the answer to a Look.
func (e *Engine) Listed(look *ListRequest, list observed.List, err error) {
	l := &e.listing
	if l.inProgress != look {
		return // HNS or the network changed meanwhile
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
		// What is known of the endpoints is worth something without the load balancers.
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

// expireList gives up on a list that does not come: each that hangs holds a thread.
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
