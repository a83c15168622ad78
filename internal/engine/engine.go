// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/backoff"
	"github.com/hnsproxy/hnsproxy/internal/observed"
	"github.com/hnsproxy/hnsproxy/internal/plan"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// Config configures an Engine.
type Config struct {
	// Node is this node as known at the start.
	Node services.Node
	// Options are the operator's choices for frontends.
	Options desired.Options
	// AuditPeriod is the time from the end of one audit to the start of the next.
	AuditPeriod time.Duration
	// CallTimeout is how long a call may take before its object counts as stuck. The call itself
	// continues, since HNS calls cannot be cancelled. HNS versions before 11 get four times as
	// long.
	CallTimeout time.Duration
	// MaxConcurrentCalls limits the calls in flight; 0 selects the default for the HNS version.
	MaxConcurrentCalls int
	// Share is the fraction of time, from 0 to 1, during which writes may keep HNS busy. 0 counts
	// as 1.
	Share float64
	// Seed seeds the jitter of retries.
	Seed uint64
	// Start is the current time when the engine is created.
	Start time.Time
}

// Engine decides what to do with HNS. It is a state machine: methods take inputs, and Ready returns
// what to do and what has changed. It has no clock, driver, logger or goroutine (law 14), and is
// not safe for concurrent use.
type Engine struct {
	cfg Config
	now time.Time

	node    services.Node
	env     *desired.Env
	state   *desired.State
	view    *observed.View
	hns     connection
	listing listing

	queue   *queue
	backoff *backoff.Backoff[task]
	calls   calls
	// unknown holds the objects for which the outcome of a call is unknown, with the endpoints that
	// a load balancer among them may reference. Each waits for the next list (law 6).
	unknown map[task][]netip.Addr
	// deleting holds the objects whose deletion has an unknown outcome, with their IDs. The
	// deletion is repeated without waiting for a list.
	deleting map[task]hnslb.ID
	// requeueAfter holds the tasks that were requested while a call or another unit kept them busy.
	// They are queued again when it has ended.
	requeueAfter map[task]bool
	modify       modify
	latency      latencyTracker
	locals       locals
	routes       routes
	// noSourceVIP holds the frontends that wait for the endpoint of the source VIP.
	noSourceVIP map[task]bool
	reserved    map[services.Name]reservation

	stopping bool
	// down holds the frontends whose load balancer was deleted, until they have one again.
	down map[task]bool
	// lastProgress is when a call last succeeded. synced is true once all work of the first sync
	// was done.
	lastProgress time.Time
	synced       bool
	transitions  []Transition
	// recompute asks for all Services again, resubmit for some of them.
	recompute bool
	resubmit  map[services.Name]bool
	// recomputing is true while the frontends still belong to an earlier environment.
	recomputing bool
	// hasIPv6 is true once any frontend or endpoint is IPv6.
	hasIPv6 bool
}

// New returns an Engine that knows nothing about HNS yet.
func New(cfg Config) *Engine {
	if cfg.Share <= 0 || cfg.Share > 1 {
		cfg.Share = 1
	}
	e := &Engine{
		cfg: cfg, now: cfg.Start, node: cfg.Node,
		state:        desired.NewState(),
		view:         observed.New(cfg.Options.SourceVIP),
		queue:        newQueue(),
		backoff:      backoff.New[task](cfg.Seed),
		calls:        newCalls(),
		unknown:      map[task][]netip.Addr{},
		deleting:     map[task]hnslb.ID{},
		down:         map[task]bool{},
		requeueAfter: map[task]bool{},
		resubmit:     map[services.Name]bool{},
		latency:      latencyTracker{},
		locals:       newLocals(),
		routes:       newRoutes(),

		noSourceVIP: map[task]bool{},
		reserved:    map[services.Name]reservation{},
	}
	e.hns = newConnection(cfg)
	e.listing = newListing(cfg)
	return e
}

// Ready is the work to start now.
type Ready struct {
	// Calls are to be started now, concurrently.
	Calls []Call
	// Network requests the features of HNS and its network, List a list of its objects; nil for
	// none.
	Network bool
	List    *ListRequest
	// Recompute requests all Services again, Resubmit some of them, because something that they
	// depend on has changed.
	Recompute bool
	Resubmit  []services.Name
	// Transitions are the changes of state since the last Ready, in order.
	Transitions []Transition
	// Wake is when to call Ready again if nothing else happens, the zero time for never. More is
	// true when Ready should be called again at once.
	Wake time.Time
	More bool
}

// Advance sets the current time. It must be called before any other input; Ready calls it.
func (e *Engine) Advance(now time.Time) { e.now = now }

// Ready advances the engine to now and returns the work to start. Results of calls and lists may be
// handed in later, in any order.
func (e *Engine) Ready(now time.Time) Ready {
	e.Advance(now)
	var r Ready
	r.More = e.mergeBatch()
	e.releaseReserved()
	e.noticeHanging()
	e.expireRoutes()
	e.retryDue()
	r.List = e.nextList()
	r.Network = e.hns.startRead(now)
	r.Calls = e.issue()
	e.synced = e.synced || e.Converged()
	r.Recompute, e.recompute = e.recompute, false
	if len(e.resubmit) > 0 {
		r.Resubmit = slices.SortedFunc(maps.Keys(e.resubmit), services.CompareNames)
		clear(e.resubmit)
	}
	r.Transitions, e.transitions = e.transitions, nil
	r.Wake = e.wake()
	return r
}

// wake returns when the next timer is due.
func (e *Engine) wake() time.Time {
	return earliestTime(e.hns.readDue(), e.nextListDue(), e.backoff.Next(), e.nextRelease(), e.calls.due(e.now, e.callTimeout()), e.listDeadline(), e.hns.readDeadline(e.callTimeout()), e.routesDue())
}

// earliestTime returns the earliest non-zero time, the zero time for none.
func earliestTime(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// AcceptsServices returns whether SetServices may be called: the network of the node has been read
// once.
func (e *Engine) AcceptsServices() bool { return e.env != nil }

// SetServices updates Services that have changed, each with all its EndpointSlices. After
// Ready.Recompute it must be called with all Services before anything is written, after
// Ready.Resubmit with the requested ones.
func (e *Engine) SetServices(inputs []services.Input) {
	e.recomputing = false
	noted := e.noteRoutes(inputs)
	in := e.input()
	for _, input := range inputs {
		noted = append(noted, e.setService(in, input)...)
	}
	e.forgetUnusedRoutes(noted) // another of these Services may have begun to list an address
}

// setService updates one Service and returns the addresses that no Service lists any more.
func (e *Engine) setService(in plan.Input, input services.Input) []netip.Addr {
	before := e.state.Frontends(input.Name)
	after := desired.Compute(input, e.env)
	e.reserve(input, before)
	changes := e.state.Set(input.Name, slices.Concat(after, e.reserved[input.Name].frontends))
	e.latency.start(input, changes.Frontends, after)
	for _, f := range before {
		if !slices.ContainsFunc(after, func(o *desired.Frontend) bool { return o.Key == f.Key }) {
			delete(e.noSourceVIP, frontendTask(f.Key))
			e.modify.clearIncomplete(f.Key)
			e.emit(FrontendGone{f.Service, f.Key})
		}
	}
	for _, f := range after {
		e.locals.note(f)
		if slices.ContainsFunc(before, func(o *desired.Frontend) bool { return o.Key == f.Key && !o.Reserved }) {
			e.emit(FrontendChanged{f})
		} else {
			e.report(f)
		}
	}
	for _, key := range changes.Frontends {
		e.backoff.Hurry(frontendTask(key))
		e.enqueueFrontend(in, key)
		e.report(e.state.Claims(key)...)
	}
	for _, ip := range changes.Unused {
		e.locals.forget(ip)
		e.enqueueEndpoint(ip)
	}
	for _, ip := range changes.Reassigned {
		e.reassign(in, ip)
	}
	return changes.Unused
}

// reassign queues every task that depends on an address that became a cluster IP, or is one no
// longer. Frontends that have to give up an address to a critical Service get the class of that
// Service.
func (e *Engine) reassign(in plan.Input, ip netip.Addr) {
	urgent := plan.ClassOfEndpoint(in, ip)
	for _, key := range e.state.Users(ip) {
		e.enqueue(frontendTask(key), min(urgent, plan.ClassOf(in, key)))
	}
	e.enqueueEndpoint(ip)
}

func (e *Engine) enqueueFrontend(in plan.Input, key hnslb.FrontendKey) {
	e.enqueue(frontendTask(key), plan.ClassOf(in, key))
}

func (e *Engine) enqueueEndpoint(ip netip.Addr) {
	if len(e.view.OwnAt(ip)) > 0 {
		e.enqueue(endpointTask(ip), plan.ClassOfEndpoint(e.input(), ip))
	}
}

// enqueueUsers queues the frontends that have ip as a VIP or backend.
func (e *Engine) enqueueUsers(ip netip.Addr) {
	in := e.input()
	for _, key := range e.state.Users(ip) {
		e.enqueueFrontend(in, key)
	}
}

// enqueue queues a task, unless it is backing off; it is queued when the backoff ends.
func (e *Engine) enqueue(t task, c plan.Class) {
	if e.backoff.Waits(t, e.now) {
		return
	}
	e.queue.add(t, c, e.now)
	e.hasIPv6 = e.hasIPv6 || t.family() == hnslb.IPv6
	e.emit(Queued{t.family()})
}

// enqueueAll queues all desired frontends and all our endpoints in HNS, after a change of something
// that all of them depend on.
func (e *Engine) enqueueAll() {
	e.enqueueSourceVIP() // load balancers wait for it
	in := e.input()
	for _, key := range slices.SortedFunc(e.state.Keys, hnslb.FrontendKey.Compare) {
		e.enqueueFrontend(in, key)
	}
	var ips []netip.Addr
	for ep := range e.view.Own {
		ips = append(ips, ep.IP)
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	for _, ip := range ips {
		e.enqueue(endpointTask(ip), plan.ClassOfEndpoint(in, ip))
	}
}

// enqueueSourceVIP queues the endpoint of the source VIP if it needs a change, and otherwise the
// frontends that waited for it.
func (e *Engine) enqueueSourceVIP() {
	if len(plan.SourceVIP(e.input()).Steps) > 0 {
		e.enqueue(endpointTask(e.env.SourceVIP()), plan.Critical)
		return
	}
	waited := slices.SortedFunc(maps.Keys(e.noSourceVIP), task.compare)
	clear(e.noSourceVIP)
	for _, t := range waited {
		e.requeueNow(t)
	}
}

// retryDue queues the failed tasks whose backoff has ended.
func (e *Engine) retryDue() {
	if e.backoff.Len() == 0 || e.env == nil {
		return
	}
	due := e.backoff.Due(e.now)
	slices.SortFunc(due, task.compare)
	for _, t := range due {
		e.requeueNow(t)
		if !t.isFrontend() && t.ip != e.env.SourceVIP() && len(e.state.Users(t.ip)) == 0 && len(e.view.OwnAt(t.ip)) == 0 {
			e.backoff.Succeeded(t)
		}
	}
}

// input returns the current input of package plan.
func (e *Engine) input() plan.Input {
	in := plan.Input{State: e.state, View: e.view, Env: e.env, Modify: e.modify.enabled(e.now), RoutesPending: !e.hns.routesSettled, ModifyIncomplete: e.modify.isIncomplete}
	if e.backoff.Len()+len(e.unknown) > 0 || e.calls.deletes > 0 || e.calls.hanging() > 0 {
		in.Unusable, in.Unknown = e.unusable, e.isUnknown
	}
	return in
}

func (e *Engine) isUnknown(ip netip.Addr) bool {
	_, unknown := e.unknown[endpointTask(ip)]
	return unknown
}

// unusable returns whether no load balancer may reference the endpoint at ip for now: its state is
// unknown, it is backing off, or it is being deleted.
func (e *Engine) unusable(ip netip.Addr) bool {
	t := endpointTask(ip)
	if _, unknown := e.unknown[t]; unknown || e.backoff.Waits(t, e.now) {
		return true
	}
	c := e.calls.busy[t]
	return c != nil && (c.hanging || c.Step.Verb() == hnslb.VerbDeleteEndpoint)
}

func (e *Engine) plan(t task) plan.Unit {
	switch {
	case t.isFrontend():
		return plan.Frontend(e.input(), t.key)
	case t.id != "":
		return plan.HalfMade(e.input(), t.id)
	case t.ip == e.env.SourceVIP():
		return plan.SourceVIP(e.input())
	}
	return plan.Endpoint(e.input(), t.ip)
}

// planUnit plans the task of a unit from its current state.
func (e *Engine) planUnit(u *unit) plan.Unit {
	if !u.down {
		return e.plan(u.task)
	}
	in := e.input()
	in.Recreate = true
	return plan.Frontend(in, u.task.key)
}

func (e *Engine) emit(t Transition) { e.transitions = append(e.transitions, t) }

// SetNode updates the Node object.
func (e *Engine) SetNode(n services.Node) {
	if e.node.SameTopology(n) {
		return
	}
	e.emit(NodeChanged{e.node, n})
	e.node = n
	if e.hns.known && e.updateHost() {
		e.listing.invalidate(e.now)
	}
	e.refreshEnv()
	if e.hns.known {
		e.updateMissing(e.hns.network)
	}
}

// refreshEnv requests all Services again if the environment that they are computed from has
// changed.
func (e *Engine) refreshEnv() {
	if !e.hns.known {
		return
	}
	env := desired.NewEnv(e.node, e.hns.network, e.hns.features, e.cfg.Options).WithRoot(e.hns.root).WithHost(e.hns.host)
	e.dropResolvedRoutes(env)
	env = env.WithAwaited(e.routes.set())
	if e.env != nil && e.env.Same(env) {
		return
	}
	e.env, e.recompute, e.recomputing = env, true, true
	for _, u := range e.calls.creating {
		u.creates = nil // planned again
	}
	e.enqueueAll()
}

// Families returns the IP families in use on this node.
func (e *Engine) Families() []hnslb.Family {
	if e.hasIPv6 {
		return []hnslb.Family{hnslb.IPv4, hnslb.IPv6}
	}
	return []hnslb.Family{hnslb.IPv4}
}

// Lag returns since when work has been pending, and the reason; the zero time when nothing is
// behind. Objects that wait for their own retry, or for another component, are not behind.
func (e *Engine) Lag() (since time.Time, why string) {
	switch {
	case !e.hns.unavailableSince.IsZero():
		return e.hns.unavailableSince, e.hns.unavailableReason
	case !e.networkComplete():
		return e.hns.incompleteSince, "HNS network " + e.hns.network.Name + ": " + e.hns.missing
	case !e.listing.listed:
		return e.listing.wantedSince, "HNS objects not listed yet"
	case !e.listing.lastReported.IsZero():
		return e.listing.wantedSince, "listing HNS objects failed"
	}
	since = earliestTime(e.queue.oldest(), e.calls.oldestSince())
	if !e.synced && !since.IsZero() && since.Before(e.lastProgress) {
		// A first sync may take minutes. It is not behind while calls succeed.
		since = e.lastProgress
	}
	if since.IsZero() {
		return since, ""
	}
	return since, "frontends pending"
}

// Pending returns the number of tasks that are queued or in progress.
func (e *Engine) Pending() int { return e.queue.len() + e.calls.unitCount() }

// Idle returns whether no call is in progress and all remaining work waits for a timer.
func (e *Engine) Idle() bool {
	if e.hns.inProgress || len(e.calls.inFlight) > e.calls.hanging() {
		return false
	}
	return e.env == nil || e.hns.unavailable() || !e.networkComplete() || e.Converged()
}

// Converged returns whether all work that is possible now is done.
func (e *Engine) Converged() bool {
	return e.canWrite() && e.Pending() == 0 && !e.listing.busy() && len(e.locals.deferred)+len(e.locals.fresh) == 0
}

// OwnEndpoints returns the number of remote endpoints in HNS that are ours.
func (e *Engine) OwnEndpoints() int { return e.view.OwnEndpoints() }

// LoadBalancer returns the load balancer at a frontend according to the last known state of HNS,
// nil for none.
func (e *Engine) LoadBalancer(key hnslb.FrontendKey) *observed.LoadBalancer {
	return e.view.LoadBalancer(key)
}

// Endpoint returns the endpoint at an address according to the last known state of HNS, nil for
// none.
func (e *Engine) Endpoint(ip netip.Addr) *observed.Endpoint { return e.view.Endpoint(ip) }
