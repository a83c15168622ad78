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
	// lookShare bounds the part of its time that HNS lists for us: a list of 1 s is followed
	// by 1 s without one.
	lookShare = 1
	// A list may take longer than another call: it is up to three HNS calls per object, the
	// others are five at most. One that does not come is given up after firstListPatience
	// times the time of a call, and then after twice as long each time.
	firstListPatience, mostListPatience = 1, 32
	// piece is how many objects of a list are taken in before anything else has its turn.
	piece = 512
	// pieceCheck is how many frontends are checked in one turn after an audit.
	pieceCheck = 64
)

// Look is a list to make: of the endpoints, and of the load balancers after them unless only
// endpoints are needed.
type Look struct{ EndpointsOnly bool }

// looks follow what has to be listed, and when.
type looks struct {
	period time.Duration
	// wantEndpoints and want ask for a list; listed tells that everything was listed since HNS
	// was found.
	wantEndpoints, want, listed bool
	wantedSince                 time.Time
	// endpointsAfter and allAfter are when the next list may be begun.
	endpointsAfter, allAfter time.Time
	// refused is when a refused call asked for a list last, later when it does again, the zero
	// time for never.
	refused, later time.Time
	// audit is when everything is listed next without anybody asking.
	audit time.Time
	// asked is in progress, merging the one that is taken in.
	asked   *Look
	merging *Look
	began   time.Time
	touched observed.Touched
	merge   *observed.Merge
	// auditing: what is found different was changed by somebody else.
	auditing bool
	list     observed.List
	// check are frontends still to be compared after an audit.
	check []hnslb.FrontendKey
	// backoff and told of lists that fail.
	backoff *backoff.Backoff[string]
	told    time.Time
	// patience is how long a list may take, in times of Config.CallTimeout.
	patience int
}

func newLooks(cfg Config) looks {
	return looks{period: cfg.AuditPeriod, want: true, wantedSince: cfg.Start, backoff: backoff.New[string](cfg.Seed),
		touched: observed.NewTouched(), patience: firstListPatience}
}

// wantAll asks for a list of everything.
func (l *looks) wantAll(now time.Time) {
	if !l.want && !l.wantEndpoints {
		l.wantedSince = now
	}
	l.want = true
}

// wantAfterRefusal asks for a list of everything, and tells whether it is made now. Where many
// are refused for one reason, a list that was asked for a moment ago has to do for a while.
func (l *looks) wantAfterRefusal(now time.Time, many bool) bool {
	next := l.refused.Add(refusalPause)
	if many && !l.want && !l.refused.IsZero() && now.Before(next) {
		l.later = next
		return false
	}
	l.refused, l.later = now, time.Time{}
	l.wantAll(now)
	return true
}

// noticeRefusals asks for the list that refused calls have waited for.
func (l *looks) noticeRefusals(now time.Time) {
	if !l.later.IsZero() && !now.Before(l.later) {
		l.wantAfterRefusal(now, true)
	}
}

// wantSome asks for a list of the endpoints.
func (l *looks) wantSome(now time.Time) {
	if !l.want && !l.wantEndpoints {
		l.wantedSince = now
	}
	l.wantEndpoints = true
}

// forget says that nothing is known of HNS until it was listed again.
func (l *looks) forget(now time.Time) {
	l.listed, l.want, l.wantedSince = false, true, now
	l.endpointsAfter, l.allAfter = time.Time{}, time.Time{}
	if l.asked != nil || l.merge != nil {
		// It may be of the time before.
		l.merge, l.auditing = nil, false
		l.asked = nil
	}
}

// busy tells whether a list is in progress or asked for by something other than time.
func (l *looks) busy() bool {
	return l.asked != nil || l.merge != nil || l.want || l.wantEndpoints || len(l.check) > 0
}

// Audit asks for a list of everything now.
func (e *Engine) Audit() { e.looks.audit, e.looks.allAfter = e.now, time.Time{} }

// trusted tells whether writes may rest on the view.
func (e *Engine) trusted() bool {
	return e.env != nil && !e.hns.away() && e.complete() && e.looks.listed
}

// canLook tells whether a list may be begun: none is in progress, and the Services for which it
// is of use are known.
func (e *Engine) canLook() bool {
	return e.looks.asked == nil && e.looks.merge == nil && e.env != nil && !e.hns.away() && e.complete() && !e.recomputing
}

// nextLook returns the list to make now, nil for none.
func (e *Engine) nextLook() *Look {
	if !e.canLook() {
		return nil
	}
	l := &e.looks
	l.noticeRefusals(e.now)
	audit := e.auditDue()
	all := (audit || l.want) && !e.now.Before(l.allAfter)
	endpoints := l.listed && (l.wantEndpoints || e.locals.wantsLook(e.now)) && !e.now.Before(l.endpointsAfter)
	if !all && !endpoints {
		return nil
	}
	if all {
		l.later = time.Time{} // it shows what those wanted to see
	}
	l.auditing = all && audit
	l.want, l.wantEndpoints = l.want && !all, false
	l.asked = &Look{EndpointsOnly: !all}
	l.began, l.touched = e.now, observed.NewTouched()
	for t, c := range e.calls.busy {
		if !c.hanging {
			c.look, c.knownBefore = l.asked, nil
			e.touch(t, false)
		}
	}
	e.locals.reading()
	return l.asked
}

// auditDue tells whether it is time for an audit. What is listed is judged by the network, so
// the network is asked for first.
func (e *Engine) auditDue() bool {
	l := &e.looks
	if !l.listed || l.audit.IsZero() || e.now.Before(l.audit) {
		return false
	}
	if e.hns.read.Before(l.audit) {
		e.CheckNetwork()
		return false
	}
	return true
}

// nextLookDue returns when a list is due, the zero time for never.
func (e *Engine) nextLookDue() time.Time {
	l := &e.looks
	if l.asked != nil || l.merge != nil || e.env == nil || e.hns.away() || !e.complete() {
		return time.Time{}
	}
	all, endpoints := l.audit, e.locals.next
	if !all.IsZero() && !e.now.Before(all) {
		all = time.Time{} // it waits for the network
	}
	if l.want {
		all = e.now
	}
	if l.wantEndpoints || len(e.locals.fresh) > 0 {
		endpoints = e.now
	}
	if !l.listed {
		endpoints = time.Time{}
	}
	return earliest(notBefore(all, l.allAfter), notBefore(endpoints, l.endpointsAfter), notBefore(l.later, l.allAfter))
}

// notBefore moves a time behind another one; the zero time, for never, stays.
func notBefore(t, limit time.Time) time.Time {
	if !t.IsZero() && t.Before(limit) {
		return limit
	}
	return t
}

// touch notes that a call was made for an object, and whether what became of it is known.
func (e *Engine) touch(t task, known bool) {
	if e.looks.asked == nil && e.looks.merge == nil {
		return
	}
	if t.isFrontend() {
		e.looks.touched.Frontends[t.key] = known
	} else if t.ip.IsValid() {
		e.looks.touched.Addresses[t.ip] = known
	}
}

// untouch takes back what touch noted of a call that HNS refused: nothing came of it. before is
// what was noted of its object, of the same list, when it began.
func (e *Engine) untouch(c *Call) {
	if c.look != e.looks.asked && c.look != e.looks.merging {
		return
	}
	if c.knownBefore != nil {
		e.touch(c.task, *c.knownBefore)
		return
	}
	delete(e.looks.touched.Addresses, c.task.ip)
	if c.task.isFrontend() {
		delete(e.looks.touched.Frontends, c.task.key)
	}
}

// touchedState returns what is noted of an object, nil for nothing.
func (e *Engine) touchedState(t task) *bool {
	known, ok := e.looks.touched.Addresses[t.ip]
	if t.isFrontend() {
		known, ok = e.looks.touched.Frontends[t.key]
	}
	if !ok {
		return nil
	}
	return &known
}

// wasTouched tells whether a list says nothing about an object.
func (e *Engine) wasTouched(t task) bool {
	_, address := e.looks.touched.Addresses[t.ip]
	_, frontend := e.looks.touched.Frontends[t.key]
	return address || frontend && t.isFrontend()
}

// Listed takes the answer to a Look.
func (e *Engine) Listed(look *Look, list observed.List, err error) {
	l := &e.looks
	if l.asked != look {
		return // HNS or the network changed meanwhile
	}
	l.asked, l.merging = nil, look
	took := lookShare * e.now.Sub(l.began)
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
	l.patience = firstListPatience
	l.told = time.Time{}
	list.EndpointsOnly = look.EndpointsOnly
	l.list = list
	l.merge = e.view.Merge(list, l.touched)
}

func (e *Engine) listFailed(look *Look, err error) {
	l := &e.looks
	e.locals.notRead()
	if look.EndpointsOnly {
		l.wantEndpoints = true
	} else {
		l.want = true
	}
	at := l.backoff.Failed("list", err, e.now)
	if limit := e.now.Add(slowestRetry); at.After(limit) {
		at = limit
	}
	l.endpointsAfter, l.allAfter = notBefore(l.endpointsAfter, at), notBefore(l.allAfter, at)
	if l.allAfter.IsZero() {
		l.allAfter = at
	}
	if class := hnslb.ErrorClass(err); class == hnslb.Unavailable || class == hnslb.Timeout {
		e.hns.doubt()
	}
	if l.told.IsZero() || !e.now.Before(l.told.Add(reminder)) {
		l.told = e.now
		e.tell(ListFailed{err})
	}
}

// noticeHangingLook gives up on a list that does not come: each that hangs holds a thread.
func (e *Engine) noticeHangingLook() {
	l := &e.looks
	if due := e.lookGivenUp(); due.IsZero() || e.now.Before(due) {
		return
	}
	look := l.asked
	l.asked = nil
	l.patience = min(2*l.patience, mostListPatience)
	e.listFailed(look, &hnslb.Error{Verb: hnslb.VerbEndpoints, Object: "all", Class: hnslb.Timeout, Err: errNoAnswer})
}

// lookGivenUp returns when the list in progress is given up, the zero time for never.
func (e *Engine) lookGivenUp() time.Time {
	l := &e.looks
	if l.asked == nil || e.callTimeout() <= 0 {
		return time.Time{}
	}
	return l.began.Add(time.Duration(l.patience) * e.callTimeout())
}
