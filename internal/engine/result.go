// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/plan"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// ErrModifyIneffective reports that HNS returned success for an update but kept the previous
// settings, as the first release of Windows Server 2025 did (HNS 15.4, k8s issue 131466).
var ErrModifyIneffective = errors.New("HNS reported success but kept the old load balancer")

var (
	errNotKept        = errors.New("HNS did not keep the requested settings")
	errNoAnswer       = errors.New("call has not returned")
	errDeletionUndone = errors.New("HNS reported the object as deleted but still lists it")
)

// Result is the result of a Call.
type Result struct {
	Call uint64
	// Endpoint or LoadBalancer is the object that HNS returned.
	Endpoint     hnslb.Endpoint
	LoadBalancer hnslb.LoadBalancer
	Err          error
}

// Done takes the result of a call that Ready returned.
func (e *Engine) Done(r Result) {
	c := e.calls.inFlight[r.Call]
	if c == nil {
		// The call was abandoned because HNS was restarted; a list shows its effect.
		e.listing.requestAll(e.now)
		return
	}
	e.recordDuration(c)
	e.removeCall(c)
	err := verifyResult(c.Step, r)
	delete(e.deleting, c.task)
	if err == nil {
		delete(e.unknown, c.task)
		e.succeeded(c, r)
	} else {
		e.callFailed(c, err)
	}
	e.resume(c, err)
	e.enqueueFreed()
	e.requeue(c.task)
	for _, ip := range c.Step.Backends() {
		e.requeue(endpointTask(ip)) // it was pinned
	}
}

// verifyResult returns the error of a call. It accepts a deletion of an object that is already
// gone, and rejects an update that HNS did not apply.
func verifyResult(s plan.Step, r Result) error {
	switch s := s.(type) {
	case plan.DeleteEndpoint:
		if hnslb.ErrorClass(r.Err) == hnslb.NotFound {
			return nil // already deleted
		}
	case plan.DeleteLoadBalancer:
		if hnslb.ProvesAbsent(r.Err) {
			return nil
		}
	case plan.UpdateLoadBalancer:
		if r.Err == nil && !sameEndpoints(r.LoadBalancer.Endpoints, s.LoadBalancer.Endpoints) {
			return &hnslb.Error{Verb: s.Verb(), Object: s.Object(), Class: hnslb.Unsupported, Err: ErrModifyIneffective}
		}
	}
	return r.Err
}

// sameEndpoints returns whether two lists contain the same endpoints in any order.
func sameEndpoints(a, b []hnslb.ID) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// succeeded applies a successful call to the view (law 6).
func (e *Engine) succeeded(c *Call, r Result) {
	e.touch(c.task, true)
	if !isCreateEndpoint(c.Step) || !c.unit.task.isFrontend() {
		c.unit.steps++
	}
	c.unit.down = false
	e.lastProgress = e.now
	e.emit(Written{c.task.family()})
	switch s := c.Step.(type) {
	case plan.CreateEndpoint:
		e.view.PutCreatedEndpoint(s.Endpoint, r.Endpoint)
		if e.backoff.Err(c.task) != nil {
			e.backoff.Succeeded(c.task)
			e.enqueueUsers(c.task.ip) // some frontends were programmed without it
		}
		if len(e.plan(c.task).Steps) > 0 {
			e.enqueueEndpoint(c.task.ip) // the desired state has changed meanwhile
		}
		if c.task.ip == e.env.SourceVIP() {
			e.enqueueSourceVIP()
		}
	case plan.DeleteEndpoint:
		e.view.DeleteEndpoint(s.ID)
		// The address is free, so the network plugin may create its endpoint or a frontend may need
		// a new one.
		e.enqueueUsers(c.task.ip)
	case plan.DeleteLoadBalancer:
		c.unit.down = e.calls.exclusive == c.unit
		if c.task.isFrontend() {
			e.down[c.task] = true
		}
		e.view.RemoveLoadBalancer(s.ID, s.Key)
	case plan.CreateLoadBalancer:
		delete(e.down, c.task)
		e.modify.clearIncomplete(s.Frontend.Key)
		e.recordWritten(c.task, s.Target, e.view.PutCreatedLoadBalancer(s.LoadBalancer, r.LoadBalancer))
	case plan.UpdateLoadBalancer:
		// The returned object shows whether HNS applied all of the update.
		e.modify.succeeded()
		if !e.view.MatchesSettings(s.LoadBalancer, r.LoadBalancer) && e.modify.markIncomplete(s.Frontend.Key) {
			e.emit(ModifyIncomplete{s.Frontend.Key})
		}
		e.recordWritten(c.task, s.Target, e.view.PutLoadBalancer(r.LoadBalancer))
	}
}

// recordWritten records a load balancer that HNS accepted. whole is false if HNS returned it only
// in part.
func (e *Engine) recordWritten(t task, want plan.Target, whole bool) {
	if !whole { // only a list shows its state
		e.unknown[t] = want.IPs
		e.listing.requestAll(e.now)
	}
}

// callFailed handles a failed call.
func (e *Engine) callFailed(c *Call, err error) {
	class := hnslb.ErrorClass(err)
	unknown := hnslb.OutcomeUnknown(err)
	switch {
	case unknown:
		e.touch(c.task, false)
		e.markUnknown(c)
	case c.hanging:
		delete(e.unknown, c.task)
	case c.list != nil:
		e.untouch(c)
	}
	if class == hnslb.Unavailable || class == hnslb.NotFound {
		e.hns.recheck() // HNS itself, or our network, may be gone
	}
	e.listAfterRefusal(c, err)
	switch {
	case c.Step.Verb() == hnslb.VerbUpdateLoadBalancer && class == hnslb.Unsupported:
		until := e.modify.disable(e.now)
		e.emit(ModifyFailed{err, until})
		e.requeueAfter[c.task] = true
		return
	case e.learnLimit(c, err):
		e.requeueAfter[c.task] = true
		return
	}
	e.backOff(c.task, err)
	e.reportFailure(c, err)
}

// listAfterRefusal requests a list when a refusal shows that the view is wrong: an object is
// missing that the view has, or exists that the view does not have. One list per object is enough,
// and refusals at the same time share it. If the call is refused again, the next audit has to do,
// unless a half-made load balancer may be the cause.
func (e *Engine) listAfterRefusal(c *Call, err error) {
	class := hnslb.ErrorClass(err)
	first := hnslb.ErrorClass(e.backoff.Err(c.task)) != class
	many := false
	switch class {
	case hnslb.NotFound, hnslb.AlreadyExists:
	case hnslb.PortInUse:
		many = true
		first = first || e.view.AnyHalfMade()
	case hnslb.Invalid:
		first = first && hnslb.ErrorCode(err) == hnslb.ResultInvalidJSONReference
	default:
		return
	}
	if first && e.listing.requestAfterRefusal(e.now, many) {
		e.unknown[c.task] = c.Step.Backends()
	}
}

// learnLimit interprets a refusal as a limit on the endpoints of a load balancer, and returns
// whether the limit is new. The first release of Windows Server 2019 accepted 64; whether later
// builds still have the limit is not known.
func (e *Engine) learnLimit(c *Call, err error) bool {
	f := &e.hns.features
	create, ok := c.Step.(plan.CreateLoadBalancer)
	if !ok || hnslb.ErrorCode(err) != hnslb.ResultInvalidArgument || f.Version.Major >= 10 ||
		len(create.LoadBalancer.Endpoints) <= hnslb.EarlyMaxEndpoints || f.MaxEndpoints <= hnslb.EarlyMaxEndpoints {
		return false
	}
	f.MaxEndpoints = hnslb.EarlyMaxEndpoints
	e.hns.learnedMaxEndpoints = f.MaxEndpoints
	e.emit(EndpointLimitLearned{f.MaxEndpoints})
	e.refreshEnv()
	return true
}

// reportFailure updates the status of a frontend after HNS refused its load balancer.
func (e *Engine) reportFailure(c *Call, err error) {
	if !c.task.isFrontend() {
		return
	}
	f, kind := e.state.Frontend(c.task.key), desired.ClusterIP
	if f != nil {
		kind = f.Kind
		if !f.Reserved {
			e.setStatus(f, Failing, desired.Note{Reason: desired.FailureReason(hnslb.ErrorClass(err)), Message: errorText(err) + remedy(err, f.Key)})
		}
	}
	e.emit(LoadBalancerFailed{c.Step.Verb(), c.task.key.Family, kind, err})
}

// backOff starts the backoff of an object.
func (e *Engine) backOff(t task, err error) {
	wait := e.backoff.Refused
	if hnslb.OutcomeUnknown(err) {
		wait = e.backoff.Failed
	}
	e.emit(Retrying{t.String(), err, wait(t, err, e.now)})
}

// resume continues the unit of a call that has ended.
func (e *Engine) resume(c *Call, err error) {
	u := c.unit
	if isCreateEndpoint(c.Step) && u.task.isFrontend() {
		e.endpointDone(c.task.ip)
		return
	}
	if e.calls.units[u.task] != u {
		return // the call hung; its task is queued again
	}
	if _, unknown := e.unknown[u.task]; err != nil || unknown {
		e.endUnit(u)
		return
	}
	// The next call of the unit comes before any other.
	if e.calls.exclusive != u {
		e.calls.creating = append([]*unit{u}, e.calls.creating...)
	}
}

// finish records the state of a task that needs no further steps now.
func (e *Engine) finish(u *unit, p plan.Unit) {
	if u.task.isFrontend() {
		e.finishFrontend(u.task, p)
		return
	}
	undone := errors.Is(e.backoff.Err(u.task), errDeletionUndone) && len(e.view.OwnAt(u.task.ip)) > 0
	if u.steps == 0 && !undone || !u.task.ip.IsValid() {
		e.backoff.Succeeded(u.task)
	}
}

func (e *Engine) finishFrontend(t task, u plan.Unit) {
	for _, ip := range u.Evict {
		e.enqueueEndpoint(ip)
	}
	if _, unknown := e.unknown[t]; !unknown {
		e.backoff.Succeeded(t)
	}
	delete(e.down, t)
	if delete(e.noSourceVIP, t); u.NoSourceVIP {
		e.noSourceVIP[t] = true
	}
	f := e.state.Frontend(t.key)
	e.locals.setWaiting(t, e.withoutOwnAddresses(u.Waiting), e.now)
	if f == nil || f.Reserved {
		return
	}
	state, note := e.frontendStatus(f, u)
	e.setStatus(f, state, note)
	if state == Programmed || f.Blocked.Reason != "" {
		for _, after := range e.latency.programmed(f.Service, t.key, e.now) {
			e.emit(ChangeProgrammed{t.key.Family, after})
		}
	}
}

// enqueueFreed queues the endpoints that no load balancer references any more and that have to be
// deleted, because no frontend uses them or a local endpoint has replaced them.
func (e *Engine) enqueueFreed() {
	for _, ip := range e.view.TakeFreed() {
		if t := endpointTask(ip); len(e.plan(t).Steps) > 0 {
			e.enqueue(t, plan.ClassOfEndpoint(e.input(), ip))
		}
	}
}

// withoutOwnAddresses removes the addresses of the node itself. Many network plugins never create
// an HNS endpoint for them, so the audit is soon enough.
func (e *Engine) withoutOwnAddresses(ips []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(ips), e.env.OwnAddress)
}

// frontendStatus returns the status of a frontend after all possible steps.
func (e *Engine) frontendStatus(f *desired.Frontend, u plan.Unit) (FrontendState, desired.Note) {
	missing := len(u.Waiting) + len(u.Unusable) + len(u.Evict) + len(u.NoRoute) + len(u.AddressTaken)
	switch {
	case f.Blocked.Reason != "":
		return Blocked, f.Blocked
	case u.Blocked.Reason != "":
		return Blocked, u.Blocked
	case u.NoSourceVIP:
		return e.sourceVIPStatus()
	case len(u.Unusable) > 0:
		return e.unusableStatus(u.Unusable)
	case len(u.AddressTaken) >= len(f.Backends):
		return Blocked, e.takenNote(u)
	case len(u.Waiting) > 0 && missing >= len(f.Backends):
		return Blocked, desired.Note{Reason: desired.LocalMissing, Message: "no HNS endpoint yet for " + addresses(u.Waiting)}
	case len(u.Waiting) > 0:
		return Pending, desired.Note{Reason: desired.LocalAwaited, Message: "programmed without " + addresses(u.Waiting) +
			": no HNS endpoint yet"}
	case len(u.NoRoute) > 0:
		message := "programmed without " + addresses(u.NoRoute) + ": no route yet"
		if e.view.LoadBalancer(f.Key) == nil {
			message = "no route yet to " + addresses(u.NoRoute)
		}
		return Pending, desired.Note{Reason: desired.RouteAwaited, Message: message}
	case len(u.Evict) > 0:
		return Pending, desired.Note{Reason: desired.EndpointReplaced, Message: "replacing an HNS endpoint of another kind at " + addresses(u.Evict)}
	case e.degraded(f.Key):
		return Programmed, desired.Note{Reason: desired.HNSDegraded, Message: "HNS reports the load balancer as degraded: it " +
			"may not carry traffic; if connections fail, restart the HNS service"}
	case len(u.AddressTaken) > 0:
		return Programmed, e.takenNote(u)
	}
	return Programmed, desired.Note{}
}

// degraded returns whether HNS reports the load balancer of a frontend as degraded. It is only
// reported: whether re-creating the load balancer would help is not known.
func (e *Engine) degraded(key hnslb.FrontendKey) bool {
	lb := e.view.LoadBalancer(key)
	return lb != nil && lb.Degraded
}

// sourceVIPStatus returns the status of a frontend that waits for the endpoint of its source VIP.
func (e *Engine) sourceVIPStatus() (FrontendState, desired.Note) {
	ip := e.env.SourceVIP()
	if err := e.backoff.Err(endpointTask(ip)); err != nil {
		return Failing, desired.Note{Reason: desired.SourceVIPAwaited, Message: "failed to create the HNS endpoint for the source VIP: " + errorText(err)}
	}
	return Pending, desired.Note{Reason: desired.SourceVIPAwaited, Message: "waiting for the HNS endpoint for source VIP " + ip.String()}
}

// unusableStatus returns the status of a frontend whose endpoints HNS refused, or whose existence
// in HNS is unknown.
func (e *Engine) unusableStatus(held []netip.Addr) (FrontendState, desired.Note) {
	var why []string
	for _, ip := range held {
		if c := e.calls.busy[endpointTask(ip)]; c != nil && c.reported {
			why = append(why, errorText(c.unanswered()))
		} else if err := e.backoff.Err(endpointTask(ip)); err != nil {
			why = append(why, errorText(err))
		}
	}
	if len(why) == 0 {
		return Pending, desired.Note{}
	}
	return Failing, desired.Note{Reason: desired.EndpointFailing, Message: "endpoints not programmed: " + desired.List(why)}
}

// takenNote lists the backends that are left out because their addresses have another role.
func (e *Engine) takenNote(u plan.Unit) desired.Note {
	var why []string
	for _, ip := range u.AddressTaken {
		why = append(why, plan.TakenReason(e.input(), ip))
	}
	return desired.Note{Reason: desired.AddressTaken, Message: "endpoints not programmed: " + desired.List(why)}
}

func (e *Engine) setStatus(f *desired.Frontend, s FrontendState, n desired.Note) {
	e.emit(FrontendStatus{f, s, n})
}

// report says what follows for frontends from the desired state alone: lost to another
// Service, blocked, or about to be looked at.
func (e *Engine) report(fs ...*desired.Frontend) {
	for _, f := range fs {
		if f.Reserved {
			continue
		}
		if note, lost := e.state.Conflict(f); lost {
			e.setStatus(f, Blocked, note)
		} else if f.Blocked.Reason != "" {
			e.setStatus(f, Blocked, f.Blocked)
		} else if !e.networkComplete() {
			e.setStatus(f, Pending, desired.Note{Reason: desired.NetworkIncomplete, Message: "waiting for HNS network " +
				e.hns.network.Name + ": " + e.hns.missing})
		} else {
			e.setStatus(f, Pending, desired.Note{})
		}
	}
}

// reportAll reports the status of all frontends again.
func (e *Engine) reportAll() {
	for _, key := range slices.SortedFunc(e.state.Keys, hnslb.FrontendKey.Compare) {
		e.report(e.state.Claims(key)...)
	}
}

// errorText is an error without the full stop and space in which HNS's words end.
func errorText(err error) string { return strings.TrimRight(err.Error(), ". ") }

// remedy suggests to an operator how to fix a failing frontend, "" for no suggestion.
func remedy(err error, key hnslb.FrontendKey) string {
	if hnslb.ErrorClass(err) != hnslb.PortInUse {
		return ""
	}
	if key.NodePort() {
		return fmt.Sprintf("; free port %d on the node: it may be held by a listener, the dynamic port range (netsh int ip show dynamicport), "+
			"or a leaked reservation", key.Port)
	}
	return "; another load balancer or a listener holds the port, or the node is out of ephemeral ports (enable DSR)"
}

func addresses(ips []netip.Addr) string {
	out := make([]string, 0, len(ips))
	for _, ip := range ips {
		out = append(out, ip.String())
	}
	return desired.List(out)
}
