// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier/apply"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/events"
	"github.com/hnsproxy/hnsproxy/proxier/observed"
	"github.com/hnsproxy/hnsproxy/proxier/plan"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Config is what a Proxier is made of.
type Config struct {
	Driver hnslb.Driver
	// Network is the name of the HNS network that carries this node's pods.
	Network string
	// Node is this node as known before its Node object was seen: the name, and the
	// addresses that --bind-address gives, which outrank those of the object.
	Node services.Node
	// Options are the operator's choices for frontends.
	Options desired.Options
	// AuditPeriod is how often HNS is listed and compared (--iptables-sync-period).
	AuditPeriod time.Duration
	// Gather is how long changes are collected between two rounds. An idle proxy does
	// not wait.
	Gather time.Duration
	// Metrics may not be nil.
	Metrics *metrics.Metrics
	// Health hears of queued and finished work; nil for nobody.
	Health Health
	// Tell hands Events to the API server and must not block; nil when there is none, so
	// that what users should know is only logged.
	Tell   func(events.Event)
	Logger klog.Logger
	Clock  clock.Clock
	// Seed decides the jitter of retries.
	Seed uint64
}

// Health is told how far the proxy is, per family.
type Health interface {
	// QueuedUpdate says that work of a family waits.
	QueuedUpdate(hnslb.Family)
	// Updated says that all work of a family was tried.
	Updated(hnslb.Family)
}

// Proxier keeps HNS as Kubernetes wants it. Its methods may be called from several
// goroutines; all of its work happens in Run.
type Proxier struct {
	cfg    Config
	store  *services.Store
	table  *Table
	events *events.Reporter
	wakeup chan struct{}

	mu          sync.Mutex
	nextNode    services.Node
	nodeChanged bool
	audit       bool
	idle        bool

	// All below belongs to the goroutine of Run.
	env     *desired.Env
	state   *desired.State
	view    *observed.View
	queue   *queue
	backoff *apply.Backoff[task]
	flights flights
	locals  locals
	hns     connection
	modify  bool
	// compare asks for a comparison of everything with the view.
	compare   bool
	lastAudit time.Time
	lastBatch time.Time
	writes    int
	// reserved are cluster IPs of critical Services that were deleted a moment ago.
	reserved map[services.Name]reservation
	// behind are the families whose last round broke off.
	behind map[hnslb.Family]bool
	synced bool
	// sixes tells that some frontend is IPv6.
	sixes bool
}

// New makes a Proxier. It touches HNS only in Run.
func New(cfg Config) *Proxier {
	p := &Proxier{
		cfg:      cfg,
		store:    services.NewStore(cfg.Node.Name, cfg.Clock.Now()),
		table:    newTable(),
		wakeup:   make(chan struct{}, 1),
		nextNode: cfg.Node,
		state:    desired.NewState(),
		view:     observed.New(cfg.Options.SourceVIP),
		queue:    newQueue(),
		backoff:  apply.NewBackoff[task](cfg.Seed),
		flights:  flights{},
		locals:   newLocals(),
		behind:   map[hnslb.Family]bool{},
		reserved: map[services.Name]reservation{},
	}
	p.hns.backoff = apply.NewBackoff[string](cfg.Seed)
	p.events = events.New(events.Config{Send: cfg.Tell, Delayed: cfg.Metrics.EventsDelayed, Logger: cfg.Logger, Clock: cfg.Clock})
	return p
}

// Store returns the store that informers fill.
func (p *Proxier) Store() *services.Store { return p.store }

// Table returns the status of all frontends.
func (p *Proxier) Table() *Table { return p.table }

// Run keeps HNS as Kubernetes wants it until ctx ends, and leaves HNS as it is. It must
// start after the first lists of Services and EndpointSlices are in the store: what they
// do not name is a leftover, and is deleted (law 7).
func (p *Proxier) Run(ctx context.Context) error {
	p.cfg.Logger.Info("Starting", "node", p.cfg.Node.Name, "network", p.cfg.Network)
	var telling sync.WaitGroup
	defer telling.Wait()
	telling.Go(func() { p.events.Run(ctx) })
	for ctx.Err() == nil {
		p.setIdle(false)
		busy := p.round(ctx)
		if busy {
			continue
		}
		p.setIdle(true)
		if !p.wait(ctx) {
			break
		}
	}
	p.cfg.Logger.Info("Stopped; HNS keeps what it holds", "frontends", len(p.table.Rows()))
	return nil
}

// round does the most urgent work once and tells whether there is more to do now.
func (p *Proxier) round(ctx context.Context) bool {
	start := p.cfg.Clock.Now()
	if !p.connect(ctx) {
		return false
	}
	p.compute()
	p.releaseReserved()
	p.retryDue()
	if !p.list(ctx) {
		return false
	}
	if p.queue.len() == 0 {
		p.settled()
		return false
	}
	p.observe(start, p.batch(ctx))
	return ctx.Err() == nil
}

// wait sleeps until there is something to do, and then gathers for a moment what comes
// along with it. It is false when ctx ended.
func (p *Proxier) wait(ctx context.Context) bool {
	timer := p.cfg.Clock.NewTimer(p.untilNext())
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-p.wakeup:
	case <-timer.C():
	case <-p.store.Changed():
		return p.gather(ctx)
	}
	return true
}

// gather waits for more changes when the last batch was a moment ago.
func (p *Proxier) gather(ctx context.Context) bool {
	left := p.lastBatch.Add(p.cfg.Gather).Sub(p.cfg.Clock.Now())
	if left <= 0 {
		return true
	}
	timer := p.cfg.Clock.NewTimer(left)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}

// untilNext returns how long nothing is due: no retry, no audit, no look for local
// endpoints.
func (p *Proxier) untilNext() time.Duration {
	now := p.cfg.Clock.Now()
	next := p.lastAudit.Add(p.cfg.AuditPeriod)
	if p.hns.away() {
		next = p.hns.retry
	} else {
		for _, t := range []time.Time{p.backoff.Next(), p.locals.next, p.nextRelease()} {
			if !t.IsZero() && t.Before(next) {
				next = t
			}
		}
	}
	return max(next.Sub(now), 0)
}

// SetNode says what the Node object is now.
func (p *Proxier) SetNode(n services.Node) {
	if len(p.cfg.Node.IPs) > 0 {
		n.IPs = p.cfg.Node.IPs
	}
	n.Name = p.cfg.Node.Name
	p.mu.Lock()
	p.nodeChanged = p.nodeChanged || !p.nextNode.SameTopology(n)
	p.nextNode = n
	p.mu.Unlock()
	p.wake()
}

// Audit asks for a comparison with HNS now.
func (p *Proxier) Audit() {
	p.mu.Lock()
	p.audit = true
	p.mu.Unlock()
	p.wake()
}

// Idle tells whether the loop has nothing to do right now.
func (p *Proxier) Idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.idle
}

func (p *Proxier) setIdle(idle bool) {
	p.mu.Lock()
	p.idle = idle
	p.mu.Unlock()
}

func (p *Proxier) wake() {
	select {
	case p.wakeup <- struct{}{}:
	default:
	}
}

// input is what plans are made from now.
func (p *Proxier) input() plan.Input {
	in := plan.Input{State: p.state, View: p.view, Env: p.env, Modify: p.modify}
	if p.backoff.Len() > 0 {
		now := p.cfg.Clock.Now()
		in.Held = func(ip netip.Addr) bool { return p.backoff.Waits(endpointTask(ip), now) }
	}
	return in
}

// settled says that all work was tried, and once that the first state is complete.
func (p *Proxier) settled() {
	p.tellHealth(Health.Updated)
	p.catchUp()
	if p.synced {
		return
	}
	p.synced = true
	counts := p.table.Counts()
	p.cfg.Logger.Info(fmt.Sprintf("First sync complete: %d writes", p.writes),
		"programmed", counts[Programmed], "blocked", counts[Blocked], "failing", counts[Failing], "pending", counts[Pending])
}

// tellHealth tells the families that this node carries how far the proxy is.
func (p *Proxier) tellHealth(say func(Health, hnslb.Family)) {
	if p.cfg.Health == nil {
		return
	}
	say(p.cfg.Health, hnslb.IPv4)
	if p.sixes {
		say(p.cfg.Health, hnslb.IPv6)
	}
}
