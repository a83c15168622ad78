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

// Config is what an Engine is made of.
type Config struct {
	// Node is this node as known at the start.
	Node services.Node
	// Options are the operator's choices for frontends.
	Options desired.Options
	// AuditPeriod is the time from the end of one audit to the start of the next.
	AuditPeriod time.Duration
	// CallTimeout is how long a call may take before its object counts as stuck. The call is
	// not taken back: HNS calls cannot be. An HNS before 11 gets four times as long.
	CallTimeout time.Duration
	// MaxConcurrentCalls is how many calls may be in progress at a time; 0 for what fits the HNS.
	MaxConcurrentCalls int
	// Share is the part of its time that HNS may be kept busy with writes, from 0 to 1; 0
	// counts as 1.
	Share float64
	// Seed decides the jitter of retries.
	Seed uint64
	// Start is the time at which the engine begins.
	Start time.Time
}

// Engine decides what to do with HNS. It is a state machine: inputs go in by its methods,
// what to do and what became of whom comes out of Ready. It has no clock, no driver, no
// logger and no goroutine (law 14), and is not safe for concurrent use.
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
	// unknown are objects of which a call may have taken effect or not, with the endpoints
	// that a load balancer among them may name. Each waits for the next list (law 6).
	unknown map[task][]netip.Addr
	// deleting are objects whose deletion may have taken effect or not, and their IDs. It is
	// repeated, without a list.
	deleting map[task]hnslb.ID
	// requeueAfter are objects that were asked for while they could not be worked on.
	requeueAfter map[task]bool
	modify       modify
	latency      latencyTracker
	locals       locals
	routes       routes
	// noSourceVIP are frontends that wait for the endpoint of the source VIP.
	noSourceVIP map[task]bool
	reserved    map[services.Name]reservation

	stopping bool
	// down are frontends whose load balancer was deleted, until they have one again.
	down map[task]bool
	// lastProgress is when a call succeeded last; settled tells that all work was done once.
	lastProgress time.Time
	synced       bool
	transitions  []Transition
	recompute    bool
	// resubmit are the Services of which the same is true, where it concerns some only.
	resubmit map[services.Name]bool
	// recomputing: the frontends are of an environment that is no more.
	recomputing bool
	// hasIPv6 tells that some frontend is IPv6.
	hasIPv6 bool
}

// New makes an Engine that knows nothing of HNS yet.
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

// Ready is what the engine wants done.
type Ready struct {
	// Calls are to be begun now, side by side.
	Calls []Call
	// Network asks for the features of HNS and its network, Look for a list.
	Network bool
	List    *ListRequest
	// Recompute asks for all Services again, Resubmit for some: what they depend on has changed.
	Recompute bool
	Resubmit  []services.Name
	// Transitions say what became of whom since the last Ready, in order.
	Transitions []Transition
	// Wake is when the engine has something to do if nothing happens before, the zero time for
	// never. More: at once, there is more of the same.
	Wake time.Time
	More bool
}

// Advance says what time it is. It must be called before any other input, and Ready does it.
func (e *Engine) Advance(now time.Time) { e.now = now }

// Ready advances the engine to a time and returns what to do. Results of calls and looks are
// handed in when they are there, in any order.
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

// wake returns when something is due.
func (e *Engine) wake() time.Time {
	return earliestTime(e.hns.readDue(), e.nextListDue(), e.backoff.Next(), e.nextRelease(), e.calls.due(e.now, e.callTimeout()), e.listDeadline(), e.hns.readDeadline(e.callTimeout()), e.routesDue())
}

// earliestTime returns the earliest of the times that are not zero, the zero time for none.
func earliestTime(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// AcceptsServices tells whether Services can be computed: the network of the node was seen once.
func (e *Engine) AcceptsServices() bool { return e.env != nil }

// SetServices takes Services that changed, with all their EndpointSlices. After
// Ready.Recompute it must be called with all of them before anything is written, after
// Ready.Resubmit with those.
func (e *Engine) SetServices(inputs []services.Input) {
	e.recomputing = false
	noted := e.noteRoutes(inputs)
	in := e.input()
	for _, input := range inputs {
		noted = append(noted, e.setService(in, input)...)
	}
	e.forgetUnusedRoutes(noted) // another of these Services may have begun to list an address
}

// setService takes one Service and returns the addresses that nobody lists any more.
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

// reassign looks again at everything that meets at an address which became a cluster IP, or
// stopped being one. Those who have to let go of the cluster IP of a critical Service are as
// urgent as that Service.
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

// enqueueUsers queues the frontends that list an address.
func (e *Engine) enqueueUsers(ip netip.Addr) {
	in := e.input()
	for _, key := range e.state.Users(ip) {
		e.enqueueFrontend(in, key)
	}
}

// enqueue queues a task unless it failed a moment ago; then its time will come.
func (e *Engine) enqueue(t task, c plan.Class) {
	if e.backoff.Waits(t, e.now) {
		return
	}
	e.queue.add(t, c, e.now)
	e.hasIPv6 = e.hasIPv6 || t.family() == hnslb.IPv6
	e.emit(Queued{t.family()})
}

// enqueueAll queues everything that is desired and everything of ours that HNS holds: what
// all of it depends on has changed.
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

// enqueueSourceVIP queues the endpoint of the source VIP, if there is something to do about it,
// else the frontends that waited for it.
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

// retryDue queues what failed and whose time has come.
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

// input is what plans are made from now.
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

// unusable tells whether nothing may rest on the endpoint of an address for now.
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

// planUnit plans the task of a unit as far as the unit has come.
func (e *Engine) planUnit(u *unit) plan.Unit {
	if !u.down {
		return e.plan(u.task)
	}
	in := e.input()
	in.Recreate = true
	return plan.Frontend(in, u.task.key)
}

func (e *Engine) emit(t Transition) { e.transitions = append(e.transitions, t) }

// SetNode says what the Node object is now.
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

// refreshEnv asks for every Service again when what they depend on has changed.
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
		u.creates = nil // planned anew
	}
	e.enqueueAll()
}

// Families returns the IP families that this node carries.
func (e *Engine) Families() []hnslb.Family {
	if e.hasIPv6 {
		return []hnslb.Family{hnslb.IPv4, hnslb.IPv6}
	}
	return []hnslb.Family{hnslb.IPv4}
}

// Lag says since when work waits and for what; the zero time when nothing is behind. What
// waits for its own retry, or for somebody else, is not behind.
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
		// A first sync may take minutes. It is not behind while it gets on.
		since = e.lastProgress
	}
	if since.IsZero() {
		return since, ""
	}
	return since, "frontends pending"
}

// Pending returns how many objects wait to be worked on.
func (e *Engine) Pending() int { return e.queue.len() + e.calls.unitCount() }

// Idle tells whether nothing is in progress and nothing waits but for its time.
func (e *Engine) Idle() bool {
	if e.hns.inProgress || len(e.calls.inFlight) > e.calls.hanging() {
		return false
	}
	return e.env == nil || e.hns.unavailable() || !e.networkComplete() || e.Converged()
}

// Converged tells whether all that can be done is done.
func (e *Engine) Converged() bool {
	return e.canWrite() && e.Pending() == 0 && !e.listing.busy() && len(e.locals.deferred)+len(e.locals.fresh) == 0
}

// OwnEndpoints returns how many remote endpoints of ours HNS holds.
func (e *Engine) OwnEndpoints() int { return e.view.OwnEndpoints() }

// LoadBalancer returns what HNS holds at a frontend, as far as known, nil for nothing.
func (e *Engine) LoadBalancer(key hnslb.FrontendKey) *observed.LoadBalancer {
	return e.view.LoadBalancer(key)
}

// Endpoint returns the endpoint that HNS has for an address, as far as known, nil for none.
func (e *Engine) Endpoint(ip netip.Addr) *observed.Endpoint { return e.view.Endpoint(ip) }
