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
	// width lets one call wait in HNS while another writes: HNS writes one at a time, but
	// around each write hcsshim makes four calls that write nothing. More would only keep the
	// network plugin's calls waiting behind ours. An old HNS gets one: whether two are safe
	// there nobody has shown (hcsshim issue 151).
	width, oldWidth = 2, 1
	// A call that takes much longer than others do gives its place to another one. It hangs
	// from then on: its object waits for it, and nothing else does.
	leastPatience, mostPatience = 250 * time.Millisecond, 10 * time.Second
	patienceFactor              = 8
	// oldFactor is how much longer calls of an old HNS may take: 30 s were seen on a busy
	// Server 2019 (k8s issue 109162).
	oldFactor = 4
	// oldPatience is the least patience with an old HNS: calls that take 30 s each must not
	// pile up in it before the first has returned.
	oldPatience = 5 * time.Second
	// mostSteps bounds the calls that one task takes in one go. A plan that wants more does
	// not come to an end: HNS shows something otherwise than it was asked for.
	mostSteps = 64
	// mostRounds bounds how often the endpoints of one load balancer are made in one go. More
	// are needed where its Service changes meanwhile.
	mostRounds = 16
)

// Call is one call of the driver.
type Call struct {
	ID   uint64
	Step plan.Step

	task  task
	unit  *unit
	began time.Time
	// look is the latest list that was in progress while the call was, knownBefore what was known of
	// its object since that began, before the call.
	look        *Look
	knownBefore *bool
	// hanging: it gave its place to others. told: that was told. orphan: HNS ended meanwhile.
	hanging, told, orphan bool
}

// unit is a task in progress: first the endpoints that its load balancer needs, then the load
// balancer itself, planned again after each call.
type unit struct {
	task    task
	class   plan.Class
	since   time.Time
	creates []plan.CreateEndpoint
	// open counts the endpoints in progress, whoever asked for them.
	open int
	// steps counts its calls, but for the endpoints of a load balancer.
	steps int
	// dark: its load balancer was deleted to be re-created.
	dark bool
	// rounds counts how often its endpoints were made.
	rounds int
}

// calls are all calls and units in flight.
type calls struct {
	next uint64
	open map[uint64]*Call
	busy map[task]*Call
	// units by task; making are those with endpoints to make, in order.
	units  map[task]*unit
	making []*unit
	// waiting are the units that wait for what becomes of an address.
	waiting map[netip.Addr][]*unit
	// alone is a unit whose calls must be adjacent (law 8).
	alone *unit
	// deletes counts deletions of endpoints in progress.
	deletes int
	// width is how many calls may be in progress, old that HNS is an old one.
	width int
	old   bool
	// pace is how long calls take of late; stuck counts those that hang since one returned.
	pace  time.Duration
	stuck int
	// rest is for how long HNS is owed to others for calls that ended, by Config.Share: the last
	// one at ended. It begins when no call is in progress, and notBefore is its end.
	rest             time.Duration
	ended, notBefore time.Time
}

func newCalls() calls {
	return calls{width: width, open: map[uint64]*Call{}, busy: map[task]*Call{}, units: map[task]*unit{}, waiting: map[netip.Addr][]*unit{}}
}

// running counts the calls that have a place.
func (c *calls) running() int {
	n := 0
	for _, call := range c.open {
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

func (c *calls) hanging() int { return len(c.open) - c.running() }

func (c *calls) working() int { return len(c.units) }

// oldest returns since when the oldest unit is in progress, but for those whose call hangs.
func (c *calls) oldest() time.Time {
	var first time.Time
	for _, u := range c.units {
		first = earliest(first, u.since)
	}
	return first
}

// issue begins as many calls as there is room for.
func (e *Engine) issue() []Call {
	var out []Call
	c := &e.calls
	if c.rests(e.now) {
		return nil
	}
	for e.trusted() && !e.recomputing && c.taken(e.now) < c.width {
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
		if e.stopping && (c.alone == nil || !c.alone.dark) {
			return e.relight()
		}
		if c.alone != nil {
			if c.occupied(e.now) {
				return nil
			}
			if call := e.step(c.alone); call != nil || c.alone != nil {
				return call
			}
			continue
		}
		if call, more := e.makeNext(); call != nil {
			return call
		} else if more {
			continue
		}
		t, class, ok := e.queue.peek()
		if !ok || class > plan.Critical && c.critical() {
			return nil // others wait for cluster DNS and the API server's Service
		}
		e.queue.pop()
		if call := e.begin(t, class); call != nil {
			return call
		}
	}
}

// begin takes up a task and returns its first call, if it has one now.
func (e *Engine) begin(t task, class plan.Class) *Call {
	_, unknown := e.unknown[t]
	busy := e.calls.busy[t]
	switch {
	case unknown:
		return nil // queued again when a list shows what became of it
	case busy != nil && busy.hanging && t.isFrontend():
		if u := e.plan(t); len(u.Steps) == 0 {
			e.settleFrontend(t, u) // its work was done all the same
			return nil
		}
		e.again[t] = true
		return nil
	case busy != nil, e.calls.units[t] != nil, t.ip.IsValid() && e.pinned(t.ip):
		e.again[t] = true
		return nil
	case t.isFrontend() && e.locals.defers(e.state.Frontend(t.key)):
		e.locals.deferred[t] = true
		return nil
	}
	u := &unit{task: t, class: class, since: e.now}
	e.calls.units[t] = u
	return e.step(u)
}

// pinned tells whether a load balancer that is being written, or of which nobody knows, may
// name the endpoint of an address.
func (e *Engine) pinned(ip netip.Addr) bool {
	ep := e.view.Endpoint(ip)
	if ep == nil {
		return false
	}
	for _, c := range e.calls.open {
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

// step plans a unit anew and returns its next call, nil when it waits or is done.
func (e *Engine) step(u *unit) *Call {
	p := e.planUnit(u)
	if e.mayBeGone(u.task, p) {
		return e.lookBefore(u)
	}
	if u.task.isFrontend() {
		creates := leadingCreates(p.Steps)
		if u.dark && anyPresent(p.Steps[len(creates):]) {
			// The load balancer was deleted, so it is made of what there is, at once.
			p.Steps, creates = p.Steps[len(creates):], nil
		}
		if len(creates) > 0 && u.rounds < mostRounds {
			e.leave(u)
			u.rounds++
			u.creates = creates
			e.calls.making = append(e.calls.making, u)
			return nil
		} else if len(creates) > 0 {
			return e.giveUp(u)
		}
	}
	if u.steps >= mostSteps && !u.dark {
		return e.giveUp(u)
	}
	if len(p.Steps) == 0 {
		e.end(u)
		e.settle(u, p)
		e.requeue(u.task)
		return nil
	}
	first := p.Steps[0]
	if p.Adjacent() && e.calls.alone == nil {
		e.calls.alone = u
		if e.calls.taken(e.now) > 0 {
			return nil
		}
	}
	return e.call(u, first)
}

// giveUp ends a unit whose plan does not come to an end: HNS does not keep, or does not show,
// what it was asked for. It is tried again after a while.
func (e *Engine) giveUp(u *unit) *Call {
	e.end(u)
	e.failed(u.task, errNotKept)
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

func creates(s plan.Step) bool {
	_, is := s.(plan.CreateEndpoint)
	return is
}

// leave lets other units have calls again.
func (e *Engine) leave(u *unit) {
	if e.calls.alone == u {
		e.calls.alone = nil
	}
}

// end forgets a unit.
func (e *Engine) end(u *unit) {
	e.leave(u)
	delete(e.calls.units, u.task)
}

// call begins the call of a step.
func (e *Engine) call(u *unit, s plan.Step) *Call {
	t := u.task
	switch s := s.(type) {
	case plan.CreateEndpoint:
		t = endpointTask(s.IP())
	case plan.DeleteEndpoint:
		e.calls.deletes++
	}
	e.calls.next++
	c := &Call{ID: e.calls.next, Step: s, task: t, unit: u, began: e.now}
	e.calls.open[c.ID], e.calls.busy[t] = c, c
	if c.look = e.looks.asked; c.look == nil && e.looks.merge != nil {
		c.look = e.looks.merging
	}
	c.knownBefore = e.touchedState(t)
	e.touch(t, false)
	return c
}

// makeNext begins the next endpoint that a unit needs. more tells that a unit went on without
// a call.
func (e *Engine) makeNext() (call *Call, more bool) {
	c := &e.calls
	for i, u := range c.making {
		for len(u.creates) > 0 {
			s := u.creates[0]
			u.creates = u.creates[1:]
			ip := s.IP()
			if e.view.Endpoint(ip) != nil || e.held(ip) || u.task.isFrontend() && !e.wanted(ip) {
				continue
			}
			u.open++
			c.waiting[ip] = append(c.waiting[ip], u)
			if c.busy[endpointTask(ip)] == nil {
				return e.call(u, s), false
			}
		}
		if u.open == 0 {
			c.making = slices.Delete(c.making, i, i+1)
			return e.step(u), true
		}
	}
	return nil, false
}

// arrived lets the units go on that waited for what becomes of an address.
func (e *Engine) arrived(ip netip.Addr) {
	for _, u := range e.calls.waiting[ip] {
		u.open--
	}
	delete(e.calls.waiting, ip)
}

// noticeHanging takes the place of calls that take too long, and tells of them.
func (e *Engine) noticeHanging() {
	c := &e.calls
	patience, timeout := c.patience(), e.callTimeout()
	for _, call := range c.open {
		took := e.now.Sub(call.began)
		switch {
		case call.orphan:
			e.lose(call)
		case !call.hanging && took >= patience:
			c.stuck++
			e.hang(call)
		case call.hanging && !call.told && timeout > 0 && took >= timeout:
			call.told = true
			e.tell(Hanging{call.task.String(), call.Step.Verb(), took})
			e.reportFailure(call, call.unanswered())
			if call.task.ip.IsValid() {
				e.enqueueUsers(call.task.ip) // they say that they lack it
			}
		}
	}
	e.hns.noticeHanging(e)
	e.noticeHangingLook()
}

// unanswered is the error of a call that has not returned for long.
func (c *Call) unanswered() error {
	return &hnslb.Error{Verb: c.Step.Verb(), Object: c.task.String(), Class: hnslb.Timeout, Err: errNoAnswer}
}

// hang gives the place of a call to others. Whether it takes effect is unknown; it may yet.
func (e *Engine) hang(c *Call) {
	c.hanging = true
	e.doubt(c)
	e.end(c.unit)
	if creates(c.Step) {
		if c.unit.task.isFrontend() {
			e.calls.units[c.unit.task] = c.unit // it goes on without the endpoint
		}
		e.arrived(c.task.ip)
	}
	e.again[c.task] = true
}

// lose forgets a call that will not return.
func (e *Engine) lose(c *Call) {
	if !c.hanging {
		e.hang(c)
	}
	e.close(c)
	e.touch(c.task, false)
	e.requeue(c.task)
}

// close takes a call out of those in progress.
func (e *Engine) close(c *Call) {
	delete(e.calls.open, c.ID)
	if e.calls.busy[c.task] == c {
		delete(e.calls.busy, c.task)
	}
	if _, is := c.Step.(plan.DeleteEndpoint); is {
		e.calls.deletes--
	}
}

// requeue queues a task that was asked for meanwhile.
func (e *Engine) requeue(t task) {
	if !e.again[t] {
		return
	}
	delete(e.again, t)
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
