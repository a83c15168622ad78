// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/plan"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

const (
	// maxConcurrentCalls lets one call wait in HNS while another writes: HNS writes one at a time, but
	// around each write hcsshim makes four calls that write nothing. More would only keep the
	// network plugin's calls waiting behind ours. An old HNS gets one: whether two are safe
	// there nobody has shown (hcsshim issue 151).
	maxConcurrentCalls, oldMaxConcurrentCalls = 2, 1
	// A call that takes much longer than others do gives its place to another one. It hangs
	// from then on: its object waits for it, and nothing else does.
	minHangAfter, maxHangAfter = 250 * time.Millisecond, 10 * time.Second
	hangFactor                 = 8
	// oldFactor is how much longer calls of an old HNS may take: 30 s were seen on a busy
	// Server 2019 (k8s issue 109162).
	oldFactor = 4
	// oldMinHangAfter is the least patience with an old HNS: calls that take 30 s each must not
	// pile up in it before the first has returned.
	oldMinHangAfter = 5 * time.Second
	// maxSteps bounds the calls that one task takes in one go. A plan that wants more does
	// not come to an end: HNS shows something otherwise than it was asked for.
	maxSteps = 64
	// maxRounds bounds how often the endpoints of one load balancer are made in one go. More
	// are needed where its Service changes meanwhile.
	maxRounds = 16
)

// Call is one call of the driver.
type Call struct {
	ID   uint64
	Step plan.Step

	task  task
	unit  *unit
	began time.Time
	// list is the latest list that was in progress while the call was, knownBefore what was known of
	// its object since that began, before the call.
	list        *ListRequest
	knownBefore *bool
	// hanging: it gave its place to others. told: that was told. orphan: HNS ended meanwhile.
	hanging, reported, orphaned bool
}

// unit is a task in progress: first the endpoints that its load balancer needs, then the load
// balancer itself, planned again after each call.
type unit struct {
	task    task
	class   plan.Class
	since   time.Time
	creates []plan.CreateEndpoint
	// endpointsInFlight counts the endpoints in progress, whoever asked for them.
	endpointsInFlight int
	// steps counts its calls, but for the endpoints of a load balancer.
	steps int
	// down: its load balancer was deleted to be re-created.
	down bool
	// rounds counts how often its endpoints were made.
	rounds int
}

// calls are all calls and units in flight.
type calls struct {
	next     uint64
	inFlight map[uint64]*Call
	busy     map[task]*Call
	// units by task; making are those with endpoints to make, in order.
	units    map[task]*unit
	creating []*unit
	// waiting are the units that wait for what becomes of an address.
	waiting map[netip.Addr][]*unit
	// exclusive is a unit whose calls must be adjacent (law 8).
	exclusive *unit
	// deletes counts deletions of endpoints in progress.
	deletes int
	// maxConcurrent is how many calls may be in progress, old that HNS is an old one.
	maxConcurrent int
	old           bool
	// averageDuration is how long calls take of late; stuck counts those that hang since one returned.
	averageDuration time.Duration
	recentHangs     int
	// idleOwed is for how long HNS is owed to others for calls that ended, by Config.Share: the last
	// one at ended. It begins when no call is in progress, and idleUntil is its end.
	idleOwed             time.Duration
	lastEnded, idleUntil time.Time
}

func newCalls() calls {
	return calls{maxConcurrent: maxConcurrentCalls, inFlight: map[uint64]*Call{}, busy: map[task]*Call{}, units: map[task]*unit{}, waiting: map[netip.Addr][]*unit{}}
}

// running counts the calls that have a place.
func (c *calls) running() int {
	n := 0
	for _, call := range c.inFlight {
		if !call.hanging {
			n++
		}
	}
	return n
}

// critical tells whether a critical unit is in progress.
func (c *calls) critical() bool {
	for _, u := range c.units {
		if u.class == plan.Critical {
			return true
		}
	}
	return false
}

func (c *calls) hanging() int { return len(c.inFlight) - c.running() }

func (c *calls) unitCount() int { return len(c.units) }

// oldestSince returns since when the oldest unit is in progress, but for those whose call hangs.
func (c *calls) oldestSince() time.Time {
	var first time.Time
	for _, u := range c.units {
		first = earliestTime(first, u.since)
	}
	return first
}

// issue begins as many calls as there is room for.
func (e *Engine) issue() []Call {
	var out []Call
	c := &e.calls
	if c.mustIdle(e.now) {
		return nil
	}
	for e.canWrite() && !e.recomputing && c.slotsInUse(e.now) < c.maxConcurrent {
		call := e.nextCall()
		if call == nil {
			break
		}
		out = append(out, *call)
	}
	return out
}

// nextCall returns the next call to begin, nil for none now.
func (e *Engine) nextCall() *Call {
	c := &e.calls
	for {
		if e.stopping && (c.exclusive == nil || !c.exclusive.down) {
			return e.restoreDown()
		}
		if c.exclusive != nil {
			if c.exclusiveMustWait(e.now) {
				return nil
			}
			if call := e.nextStep(c.exclusive); call != nil || c.exclusive != nil {
				return call
			}
			continue
		}
		if call, more := e.nextEndpoint(); call != nil {
			return call
		} else if more {
			continue
		}
		t, class, ok := e.queue.peek()
		if !ok || class > plan.Critical && c.critical() {
			return nil // others wait for cluster DNS and the API server's Service
		}
		e.queue.pop()
		if call := e.startTask(t, class); call != nil {
			return call
		}
	}
}

// startTask takes up a task and returns its first call, if it has one now.
func (e *Engine) startTask(t task, class plan.Class) *Call {
	_, unknown := e.unknown[t]
	busy := e.calls.busy[t]
	switch {
	case unknown:
		return nil // queued again when a list shows what became of it
	case busy != nil && busy.hanging && t.isFrontend():
		if u := e.plan(t); len(u.Steps) == 0 {
			e.finishFrontend(t, u) // its work was done all the same
			return nil
		}
		e.requeueAfter[t] = true
		return nil
	case busy != nil, e.calls.units[t] != nil, t.ip.IsValid() && e.pinned(t.ip):
		e.requeueAfter[t] = true
		return nil
	case t.isFrontend() && e.locals.mustDefer(e.state.Frontend(t.key)):
		e.locals.deferred[t] = true
		return nil
	}
	u := &unit{task: t, class: class, since: e.now}
	e.calls.units[t] = u
	return e.nextStep(u)
}

// pinned tells whether a load balancer that is being written, or of which nobody knows, may
// name the endpoint of an address.
func (e *Engine) pinned(ip netip.Addr) bool {
	ep := e.view.Endpoint(ip)
	if ep == nil {
		return false
	}
	for _, c := range e.calls.inFlight {
		if slices.Contains(c.Step.Backends(), ip) {
			return true
		}
	}
	for _, ips := range e.unknown {
		if slices.Contains(ips, ip) {
			return true
		}
	}
	return false
}

// nextStep plans a unit anew and returns its next call, nil when it waits or is done.
func (e *Engine) nextStep(u *unit) *Call {
	p := e.planUnit(u)
	if e.mayBeGone(u.task, p) {
		return e.listFirst(u)
	}
	if u.task.isFrontend() {
		creates := leadingCreates(p.Steps)
		if u.down && anyPresent(p.Steps[len(creates):]) {
			// The load balancer was deleted, so it is made of what there is, at once.
			p.Steps, creates = p.Steps[len(creates):], nil
		}
		if len(creates) > 0 && u.rounds < maxRounds {
			e.releaseExclusive(u)
			u.rounds++
			u.creates = creates
			e.calls.creating = append(e.calls.creating, u)
			return nil
		} else if len(creates) > 0 {
			return e.giveUp(u)
		}
	}
	if u.steps >= maxSteps && !u.down {
		return e.giveUp(u)
	}
	if len(p.Steps) == 0 {
		e.endUnit(u)
		e.finish(u, p)
		e.requeue(u.task)
		return nil
	}
	first := p.Steps[0]
	if p.Adjacent() && e.calls.exclusive == nil {
		e.calls.exclusive = u
		if e.calls.slotsInUse(e.now) > 0 {
			return nil
		}
	}
	return e.startCall(u, first)
}

// giveUp ends a unit whose plan does not come to an end: HNS does not keep, or does not show,
// what it was asked for. It is tried again after a while.
func (e *Engine) giveUp(u *unit) *Call {
	e.endUnit(u)
	e.backOff(u.task, errNotKept)
	if f := e.state.Frontend(u.task.key); u.task.isFrontend() && f != nil && !f.Reserved {
		e.setStatus(f, Failing, desired.Note{Reason: desired.HNSError, Message: errNotKept.Error()})
	}
	return nil
}

// anyPresent tells whether the first step makes a load balancer of endpoints that HNS has.
func anyPresent(steps []plan.Step) bool {
	if len(steps) == 0 {
		return false
	}
	s, is := steps[0].(plan.CreateLoadBalancer)
	return is && len(s.LoadBalancer.Endpoints) > 0
}

func leadingCreates(steps []plan.Step) []plan.CreateEndpoint {
	var creates []plan.CreateEndpoint
	for _, s := range steps {
		create, is := s.(plan.CreateEndpoint)
		if !is {
			break
		}
		creates = append(creates, create)
	}
	return creates
}

func isCreateEndpoint(s plan.Step) bool {
	_, is := s.(plan.CreateEndpoint)
	return is
}

// releaseExclusive lets other units have calls again.
func (e *Engine) releaseExclusive(u *unit) {
	if e.calls.exclusive == u {
		e.calls.exclusive = nil
	}
}

// endUnit forgets a unit.
func (e *Engine) endUnit(u *unit) {
	e.releaseExclusive(u)
	delete(e.calls.units, u.task)
}

// startCall begins the call of a step.
func (e *Engine) startCall(u *unit, s plan.Step) *Call {
	t := u.task
	switch s := s.(type) {
	case plan.CreateEndpoint:
		t = endpointTask(s.IP())
	case plan.DeleteEndpoint:
		e.calls.deletes++
	}
	e.calls.next++
	c := &Call{ID: e.calls.next, Step: s, task: t, unit: u, began: e.now}
	e.calls.inFlight[c.ID], e.calls.busy[t] = c, c
	if c.list = e.listing.inProgress; c.list == nil && e.listing.merge != nil {
		c.list = e.listing.merging
	}
	c.knownBefore = e.touchedState(t)
	e.touch(t, false)
	return c
}

// nextEndpoint begins the next endpoint that a unit needs. more tells that a unit went on without
// a call.
func (e *Engine) nextEndpoint() (call *Call, more bool) {
	c := &e.calls
	for i, u := range c.creating {
		for len(u.creates) > 0 {
			s := u.creates[0]
			u.creates = u.creates[1:]
			ip := s.IP()
			if e.view.Endpoint(ip) != nil || e.unusable(ip) || u.task.isFrontend() && !e.wanted(ip) {
				continue
			}
			u.endpointsInFlight++
			c.waiting[ip] = append(c.waiting[ip], u)
			if c.busy[endpointTask(ip)] == nil {
				return e.startCall(u, s), false
			}
		}
		if u.endpointsInFlight == 0 {
			c.creating = slices.Delete(c.creating, i, i+1)
			return e.nextStep(u), true
		}
	}
	return nil, false
}

// endpointDone lets the units go on that waited for what becomes of an address.
func (e *Engine) endpointDone(ip netip.Addr) {
	for _, u := range e.calls.waiting[ip] {
		u.endpointsInFlight--
	}
	delete(e.calls.waiting, ip)
}

// expireRead takes the place of calls that take too long, and tells of them.
func (e *Engine) noticeHanging() {
	c := &e.calls
	hangAfter, timeout := c.hangAfter(), e.callTimeout()
	for _, call := range c.inFlight {
		took := e.now.Sub(call.began)
		switch {
		case call.orphaned:
			e.abandon(call)
		case !call.hanging && took >= hangAfter:
			c.recentHangs++
			e.markHanging(call)
		case call.hanging && !call.reported && timeout > 0 && took >= timeout:
			call.reported = true
			e.emit(Hanging{call.task.String(), call.Step.Verb(), took})
			e.reportFailure(call, call.unanswered())
			if call.task.ip.IsValid() {
				e.enqueueUsers(call.task.ip) // they say that they lack it
			}
		}
	}
	e.hns.expireRead(e)
	e.expireList()
}

// unanswered is the error of a call that has not returned for long.
func (c *Call) unanswered() error {
	return &hnslb.Error{Verb: c.Step.Verb(), Object: c.task.String(), Class: hnslb.Timeout, Err: errNoAnswer}
}

// markHanging gives the place of a call to others. Whether it takes effect is unknown; it may yet.
func (e *Engine) markHanging(c *Call) {
	c.hanging = true
	e.markUnknown(c)
	e.endUnit(c.unit)
	if isCreateEndpoint(c.Step) {
		if c.unit.task.isFrontend() {
			e.calls.units[c.unit.task] = c.unit // it goes on without the endpoint
		}
		e.endpointDone(c.task.ip)
	}
	e.requeueAfter[c.task] = true
}

// abandon forgets a call that will not return.
func (e *Engine) abandon(c *Call) {
	if !c.hanging {
		e.markHanging(c)
	}
	e.removeCall(c)
	e.touch(c.task, false)
	e.requeue(c.task)
}

// removeCall takes a call out of those in progress.
func (e *Engine) removeCall(c *Call) {
	delete(e.calls.inFlight, c.ID)
	if e.calls.busy[c.task] == c {
		delete(e.calls.busy, c.task)
	}
	if _, is := c.Step.(plan.DeleteEndpoint); is {
		e.calls.deletes--
	}
}

// requeue queues a task that was asked for meanwhile.
func (e *Engine) requeue(t task) {
	if !e.requeueAfter[t] {
		return
	}
	delete(e.requeueAfter, t)
	e.requeueNow(t)
}

// requeueNow queues everything that an object concerns.
func (e *Engine) requeueNow(t task) {
	switch {
	case t.isFrontend():
		e.enqueueFrontend(e.input(), t.key)
	case t.ip.IsValid():
		e.enqueueUsers(t.ip)
		e.enqueueEndpoint(t.ip)
		if t.ip == e.env.SourceVIP() {
			e.enqueueSourceVIP()
		}
	}
}
