// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/engine"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/events"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Config configures a Proxier.
type Config struct {
	// Driver reads and writes HNS. A call may block for any time without blocking others.
	Driver hnslb.Driver
	// Network is the name of the HNS network that carries this node's pods. It may be empty if
	// SetNetwork is called.
	Network string
	// Node is this node as known before its Node object is read: the name, and the addresses of
	// --bind-address, which take precedence over those of the object.
	Node services.Node
	// Options are the operator's choices for frontends.
	Options desired.Options
	// AuditPeriod is how often HNS is listed and compared with the desired state
	// (--iptables-sync-period).
	AuditPeriod time.Duration
	// MinSyncPeriod is how long changes are collected while HNS is being written. An idle proxy
	// does not wait.
	MinSyncPeriod time.Duration
	// CallTimeout is how long an HNS call may take before its object counts as stuck; 0 for 30 s.
	// HNS versions before 11 get four times as long.
	CallTimeout time.Duration
	// MaxConcurrentCalls limits the HNS calls in flight; 0 for 2, and for 1 on HNS versions before
	// 11.
	MaxConcurrentCalls int
	// CheckCompatible returns why the proxy cannot work with this HNS and network, which ends Run
	// before anything is written; nil for no check.
	CheckCompatible func(hnslb.Features, hnslb.Network) error
	// Share is the fraction of time during which writes may keep HNS busy (--hns-share); 0 for all
	// of it.
	Share float64
	// Metrics must not be nil.
	Metrics *metrics.Metrics
	// Health receives whether the proxy is up to date; may be nil.
	Health Health
	// SendEvent sends an Event to the API server and must not block; nil if there is none, so that
	// problems are only logged.
	SendEvent func(events.Event)
	// SendNodeEvent sends a warning Event about this node and must not block; may be nil.
	SendNodeEvent func(reason, message string)
	Logger        klog.Logger
	Clock         clock.Clock
	// Seed seeds the jitter of retries.
	Seed uint64
}

// Health receives the progress of the proxy, per IP family.
type Health interface {
	// Behind reports that work of a family has been pending since a given time, and why.
	Behind(f hnslb.Family, since time.Time, why string)
	// Updated reports that no work of a family is pending.
	Updated(f hnslb.Family)
}

// Proxier keeps HNS in sync with Kubernetes. Its methods may be called from several goroutines; all
// work happens in Run.
type Proxier struct {
	cfg     Config
	store   *services.Store
	table   *Table
	events  *events.Reporter
	wakeup  chan struct{}
	results chan func(*engine.Engine)
	// networkReader limits the reads that HNS does not answer.
	networkReader *networkReader

	mu       sync.Mutex
	requests []func(*engine.Engine)
	idle     bool

	// The fields below are used by the goroutine of Run only.
	engine *engine.Engine
	report *reporter
	// lastSubmit is when changes were last handed to the engine. recompute is true if the engine
	// waits for Services it requested.
	lastSubmit time.Time
	recompute  bool
	// incompatible is why the proxy cannot work with this HNS.
	incompatible error
}

// New returns a Proxier, or all errors in the configuration. Only Run accesses HNS.
func New(cfg Config) (*Proxier, error) {
	var errs []error
	for _, check := range []struct {
		wrong bool
		what  string
	}{
		{cfg.Driver == nil, "Driver is missing"},
		{cfg.Metrics == nil, "Metrics is missing"},
		{cfg.Clock == nil, "Clock is missing"},
		{cfg.AuditPeriod <= 0, "AuditPeriod must be positive"},
		{cfg.MinSyncPeriod < 0, "MinSyncPeriod must not be negative"},
		{cfg.CallTimeout < 0, "CallTimeout must not be negative"},
		{cfg.MaxConcurrentCalls < 0, "MaxConcurrentCalls must not be negative"},
		{cfg.Share < 0 || cfg.Share > 1, "Share must be from 0 to 1"},
	} {
		if check.wrong {
			errs = append(errs, errors.New("proxier: "+check.what))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if cfg.CallTimeout == 0 {
		cfg.CallTimeout = 30 * time.Second
	}
	p := &Proxier{
		cfg:     cfg,
		store:   services.NewStore(cfg.Node.Name, cfg.Clock.Now()),
		table:   newTable(),
		wakeup:  make(chan struct{}, 1),
		results: make(chan func(*engine.Engine)),

		networkReader: &networkReader{hns: cfg.Driver, network: cfg.Network},
	}
	p.events = events.New(events.Config{Send: cfg.SendEvent, Delayed: cfg.Metrics.EventsDelayed, Logger: cfg.Logger, Clock: cfg.Clock})
	return p, nil
}

// SetNetwork sets the network and the source VIP, for a caller that determines them after New. It
// must be called before Run.
func (p *Proxier) SetNetwork(network string, sourceVIP netip.Addr) {
	p.cfg.Network, p.cfg.Options.SourceVIP = network, sourceVIP
	p.networkReader.network = network
}

// Store returns the store for informers to fill.
func (p *Proxier) Store() *services.Store { return p.store }

// Table returns the status of all frontends.
func (p *Proxier) Table() *Table { return p.table }

// Run keeps HNS in sync with Kubernetes until ctx ends, and leaves the HNS objects in place. It
// must be called after the initial Services and EndpointSlices are in the store: HNS objects
// without one of them are leftovers and are deleted (law 7). It may be called once. The only error
// it returns is that of Config.CheckCompatible.
func (p *Proxier) Run(ctx context.Context) error {
	p.cfg.Logger.Info("Starting", "node", p.cfg.Node.Name, "network", p.cfg.Network)
	var events sync.WaitGroup
	defer events.Wait()
	events.Go(func() { p.events.Run(ctx) })
	p.engine = engine.New(engine.Config{Node: p.cfg.Node, Options: p.cfg.Options, AuditPeriod: p.cfg.AuditPeriod,
		CallTimeout: p.cfg.CallTimeout, MaxConcurrentCalls: p.cfg.MaxConcurrentCalls, Share: p.cfg.Share, Seed: p.cfg.Seed, Start: p.cfg.Clock.Now()})
	p.report = newReporter(p)
	driving, release := p.graceContext(ctx)
	defer release()
	d := &executor{Proxier: p, ctx: driving}
	for ctx.Err() == nil && p.incompatible == nil {
		p.submitChanges()
		r := p.engine.Ready(p.cfg.Clock.Now())
		p.report.publish(r.Transitions)
		d.start(r)
		p.requestRecompute(r)
		if r.More || p.recompute {
			p.poll()
			continue
		}
		p.report.reportConverged()
		p.wait(ctx, r.Wake)
	}
	if p.incompatible != nil {
		return p.incompatible
	}
	d.finish()
	p.cfg.Logger.Info("Stopped; HNS rules left in place", "frontends", len(p.table.Rows()))
	return nil
}

// requestRecompute marks the Services that the engine requests as changed.
func (p *Proxier) requestRecompute(r engine.Ready) {
	if r.Recompute {
		p.store.MarkAll()
	}
	p.store.Mark(r.Resubmit...)
	if r.Recompute || len(r.Resubmit) > 0 {
		p.recompute, p.lastSubmit = true, time.Time{}
	}
}

// submitChanges hands changed Services to the engine, at most once per MinSyncPeriod.
func (p *Proxier) submitChanges() {
	now := p.cfg.Clock.Now()
	if !p.engine.AcceptsServices() || now.Before(p.nextSubmit()) {
		return
	}
	inputs := p.store.Take()
	p.cfg.Metrics.ChangesTaken()
	if len(inputs) > 0 || p.recompute {
		p.lastSubmit, p.recompute = now, false
		p.input(func(e *engine.Engine) { e.SetServices(inputs) })
	}
}

// nextSubmit returns when changes may be submitted next.
func (p *Proxier) nextSubmit() time.Time {
	if p.lastSubmit.IsZero() {
		return time.Time{}
	}
	return p.lastSubmit.Add(p.cfg.MinSyncPeriod)
}

// wait blocks until there is something to do, and processes it.
func (p *Proxier) wait(ctx context.Context, wake time.Time) {
	now := p.cfg.Clock.Now()
	var changed <-chan struct{}
	if p.engine.AcceptsServices() && !now.Before(p.nextSubmit()) {
		changed = p.store.Changed()
	} else if p.engine.AcceptsServices() && (wake.IsZero() || p.nextSubmit().Before(wake)) {
		wake = p.nextSubmit()
	}
	var timer <-chan time.Time
	if !wake.IsZero() {
		t := p.cfg.Clock.NewTimer(max(wake.Sub(now), 0))
		defer t.Stop()
		timer = t.C()
	}
	p.setIdle(p.engine.Idle() && (changed != nil || !p.engine.AcceptsServices()))
	select {
	case <-ctx.Done():
	case <-timer:
	case <-changed:
	case <-p.wakeup:
	case take := <-p.results:
		p.input(take)
	}
	p.setIdle(false)
	p.poll()
}

// poll processes pending requests and results without blocking.
func (p *Proxier) poll() {
	p.mu.Lock()
	requests := p.requests
	p.requests = nil
	p.mu.Unlock()
	for _, request := range requests {
		p.input(request)
	}
	for {
		select {
		case take := <-p.results:
			p.input(take)
		default:
			return
		}
	}
}

// input passes an input to the engine, after setting its clock.
func (p *Proxier) input(take func(*engine.Engine)) {
	p.engine.Advance(p.cfg.Clock.Now())
	take(p.engine)
}

// request queues a function that the loop calls with the engine.
func (p *Proxier) request(do func(*engine.Engine)) {
	p.mu.Lock()
	p.requests = append(p.requests, do)
	p.mu.Unlock()
	select {
	case p.wakeup <- struct{}{}:
	default:
	}
}

// SetNode updates the Node object.
func (p *Proxier) SetNode(n services.Node) {
	n = n.WithOverrides(p.cfg.Node.IPs)
	n.Name = p.cfg.Node.Name
	p.request(func(e *engine.Engine) { e.SetNode(n) })
}

// Audit requests a comparison with HNS now.
func (p *Proxier) Audit() { p.request((*engine.Engine).Audit) }

// HNSChanged reports that HNS itself may have changed (see hnslb.Change), so that it is read at
// once instead of at the next audit.
func (p *Proxier) HNSChanged(c hnslb.Change) {
	if c == hnslb.NetworksChanged {
		p.request((*engine.Engine).CheckNetwork)
	} else {
		p.networkReader.reset()
		p.request((*engine.Engine).ServiceChanged)
	}
}

// Idle returns whether the loop has nothing to do right now.
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
