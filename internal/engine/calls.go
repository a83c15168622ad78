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
	// maxConcurrentCalls lets one call wait in HNS while another writes. HNS executes one write at
	// a time, but hcsshim makes four more calls around each write that change nothing. A higher
	// limit would only delay the calls of the network plugin. An old HNS gets one call at a time,
	// since two are not known to be safe there (hcsshim issue 151).
	maxConcurrentCalls, oldMaxConcurrentCalls = 2, 1
	// A call that takes much longer than the average counts as hanging and gives up its slot. From
	// then on only its own object waits for it.
	minHangAfter, maxHangAfter = 250 * time.Millisecond, 10 * time.Second
	hangFactor                 = 8
	// oldFactor multiplies the limits for an old HNS, where calls of 30 s were observed on a busy
	// Windows Server 2019 (k8s issue 109162).
	oldFactor = 4
	// oldMinHangAfter is the minimum for an old HNS, so that calls of 30 s each do not pile up
	// before the first has returned.
	oldMinHangAfter = 5 * time.Second
	// maxSteps limits the calls of one unit. A plan that needs more does not converge, because HNS
	// shows an object differently from what was requested.
	maxSteps = 64
	// maxRounds limits how often a unit creates the endpoints of its load balancer. It takes
	// several rounds if the Service changes meanwhile.
	maxRounds = 16
)

// Call is one call of the driver to start.
type Call struct {
	ID   uint64
	Step plan.Step

	task  task
	unit  *unit
	began time.Time
	// list is the latest list that was in progress during the call. knownBefore is what was
	// recorded about the object for that list before the call, nil for nothing.
	list        *ListRequest
	knownBefore *bool
	// hanging: the call gave up its slot. reported: a Hanging transition was emitted. orphaned: the
	// HNS service ended meanwhile.
	hanging, reported, orphaned bool
}

// unit is a task in progress. For a frontend it first creates the missing endpoints, and then
// writes the load balancer. It is planned again after each call.
type unit struct {
	task    task
	class   plan.Class
	since   time.Time
	creates []plan.CreateEndpoint
	// endpointsInFlight counts the endpoint creations that the unit waits for, including those that
	// another unit started.
	endpointsInFlight int
	// steps counts the calls of the unit, without the endpoints of a load balancer.
	steps int
	// down: the load balancer was deleted and is about to be re-created.
	down bool
	// rounds counts how often the unit created endpoints.
	rounds int
}

// calls are all calls and units in flight.
type calls struct {
	next     uint64
	inFlight map[uint64]*Call
	busy     map[task]*Call
	// units holds the units in progress by task; creating those with endpoints to create, in order.
	units    map[task]*unit
	creating []*unit
	// waiting holds the units that wait for the creation of an endpoint, by address.
	waiting map[netip.Addr][]*unit
	// exclusive is the unit whose calls must follow each other without others in between (law 8).
	exclusive *unit
	// deletes counts the endpoint deletions in progress.
	deletes int
	// maxConcurrent limits the calls in flight. old is true for an HNS before version 11.
	maxConcurrent int
	old           bool
	// averageDuration is the moving average of call durations. recentHangs counts the calls that
	// hung since a call last returned.
	averageDuration time.Duration
	recentHangs     int
	// idleOwed is for how long HNS has to be left idle after the calls up to lastEnded, as
	// Config.Share requires. The pause starts when no call is in flight, and ends at idleUntil.
	idleOwed             time.Duration
	lastEnded, idleUntil time.Time
}

func newCalls() calls {
	return calls{maxConcurrent: maxConcurrentCalls, inFlight: map[uint64]*Call{}, busy: map[task]*Call{}, units: map[task]*unit{}, waiting: map[netip.Addr][]*unit{}}
}

// running returns the number of calls that occupy a slot.
func (c *calls) running() int {
	n := 0
	for _, call := range c.inFlight {
		if !call.hanging {
			n++
		}
	}
	return n
}

// critical returns whether a unit of a critical Service is in progress.
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

// oldestSince returns when the oldest unit in progress was started. Units whose call hangs do not
// count.
func (c *calls) oldestSince() time.Time {
	var first time.Time
	for _, u := range c.units {
		first = earliestTime(first, u.since)
	}
	return first
}

// issue starts as many calls as the limits allow.
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

// nextCall returns the next call to start, nil if none can start now.
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
			return nil // other tasks wait for cluster DNS and the API server's Service
		}
		e.queue.pop()
		if call := e.startTask(t, class); call != nil {
			return call
		}
	}
}

// startTask starts a unit for a task and returns its first call, if there is one now.
func (e *Engine) startTask(t task, class plan.Class) *Call {
	_, unknown := e.unknown[t]
	busy := e.calls.busy[t]
	switch {
	case unknown:
		return nil // queued again when a list shows its state
	case busy != nil && busy.hanging && t.isFrontend():
		if u := e.plan(t); len(u.Steps) == 0 {
			e.finishFrontend(t, u) // the hanging call took effect
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

// pinned returns whether a load balancer that is being written, or whose state is unknown, may
// reference the endpoint at ip.
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

// nextStep plans a unit and returns its next call, nil when the unit waits or is done.
func (e *Engine) nextStep(u *unit) *Call {
	p := e.planUnit(u)
	if e.mayBeGone(u.task, p) {
		return e.listFirst(u)
	}
	if u.task.isFrontend() {
		creates := leadingCreates(p.Steps)
		if u.down && anyPresent(p.Steps[len(creates):]) {
			// The load balancer was deleted, so it is re-created at once with the endpoints that
			// exist.
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

// giveUp ends a unit whose plan does not converge, because HNS does not store, or does not show,
// what was requested. The task is retried after a backoff.
func (e *Engine) giveUp(u *unit) *Call {
	e.endUnit(u)
	e.backOff(u.task, errNotKept)
	if f := e.state.Frontend(u.task.key); u.task.isFrontend() && f != nil && !f.Reserved {
		e.setStatus(f, Failing, desired.Note{Reason: desired.HNSError, Message: errNotKept.Error()})
	}
	return nil
}

// anyPresent returns whether the first step creates a load balancer with at least one endpoint that
// exists.
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

// releaseExclusive allows calls of other units again.
func (e *Engine) releaseExclusive(u *unit) {
	if e.calls.exclusive == u {
		e.calls.exclusive = nil
	}
}

// endUnit removes a unit from those in progress.
func (e *Engine) endUnit(u *unit) {
	e.releaseExclusive(u)
	delete(e.calls.units, u.task)
}

// startCall starts the call of a step.
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

// nextEndpoint starts the next endpoint creation that a unit needs. more is true when a unit made
// progress without a call.
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

// endpointDone resumes the units that waited for the creation of an endpoint.
func (e *Engine) endpointDone(ip netip.Addr) {
	for _, u := range e.calls.waiting[ip] {
		u.endpointsInFlight--
	}
	delete(e.calls.waiting, ip)
}

// noticeHanging takes the slots of calls that take too long, and reports calls beyond the call
// timeout.
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
				e.enqueueUsers(call.task.ip) // their status names the missing endpoint
			}
		}
	}
	e.hns.expireRead(e)
	e.expireList()
}

// unanswered returns the error for a call that has exceeded the call timeout.
func (c *Call) unanswered() error {
	return &hnslb.Error{Verb: c.Step.Verb(), Object: c.task.String(), Class: hnslb.Timeout, Err: errNoAnswer}
}

// markHanging gives the slot of a call to others. The call may still take effect, so its outcome is
// unknown.
func (e *Engine) markHanging(c *Call) {
	c.hanging = true
	e.markUnknown(c)
	e.endUnit(c.unit)
	if isCreateEndpoint(c.Step) {
		if c.unit.task.isFrontend() {
			e.calls.units[c.unit.task] = c.unit // the unit continues without the endpoint
		}
		e.endpointDone(c.task.ip)
	}
	e.requeueAfter[c.task] = true
}

// abandon removes a call that will not return.
func (e *Engine) abandon(c *Call) {
	if !c.hanging {
		e.markHanging(c)
	}
	e.removeCall(c)
	e.touch(c.task, false)
	e.requeue(c.task)
}

// removeCall removes a call from those in flight.
func (e *Engine) removeCall(c *Call) {
	delete(e.calls.inFlight, c.ID)
	if e.calls.busy[c.task] == c {
		delete(e.calls.busy, c.task)
	}
	if _, is := c.Step.(plan.DeleteEndpoint); is {
		e.calls.deletes--
	}
}

// requeue queues a task again if it was requested while it was busy.
func (e *Engine) requeue(t task) {
	if !e.requeueAfter[t] {
		return
	}
	delete(e.requeueAfter, t)
	e.requeueNow(t)
}

// requeueNow queues a task, and for an address also the frontends that use it.
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
