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

// Config is what a Proxier is made of.
type Config struct {
	// Driver reads and writes HNS. A call may take as long as it likes: the others go on.
	Driver hnslb.Driver
	// Network is the name of the HNS network that carries this node's pods. It may be empty
	// if Place is called.
	Network string
	// Node is this node as known before its Node object was seen: the name, and the
	// addresses that --bind-address gives, which outrank those of the object.
	Node services.Node
	// Options are the operator's choices for frontends.
	Options desired.Options
	// AuditPeriod is how often HNS is listed and compared (--iptables-sync-period).
	AuditPeriod time.Duration
	// MinSyncPeriod is how long changes are collected while HNS is written. An idle proxy does not
	// wait.
	MinSyncPeriod time.Duration
	// CallTimeout is how long a call of HNS may take before its object counts as stuck; 0
	// for 30 s. An HNS before 11 gets four times as long.
	CallTimeout time.Duration
	// MaxConcurrentCalls is how many calls of HNS may be in progress at a time; 0 for 2, and for 1 on an HNS
	// before 11.
	MaxConcurrentCalls int
	// CheckCompatible says why the proxy cannot do its work on this HNS and network, which ends Run before
	// anything is written; nil when there is nothing to ask.
	CheckCompatible func(hnslb.Features, hnslb.Network) error
	// Share is the part of its time that HNS may be kept busy with writes (--hns-share); 0 for
	// all of it.
	Share float64
	// Metrics may not be nil.
	Metrics *metrics.Metrics
	// Health hears whether the proxy gets its work done; nil for nobody.
	Health Health
	// SendEvent hands Events to the API server and must not block; nil when there is none, so
	// that what users should know is only logged.
	SendEvent func(events.Event)
	// SendNodeEvent hands a warning about this node to the API server and must not block; nil when
	// there is none.
	SendNodeEvent func(reason, message string)
	Logger        klog.Logger
	Clock         clock.Clock
	// Seed decides the jitter of retries.
	Seed uint64
}

// Health is told how far the proxy is, per family.
type Health interface {
	// Behind says that work of a family waits since some time, and for what.
	Behind(f hnslb.Family, since time.Time, why string)
	// Updated says that all work of a family was tried.
	Updated(f hnslb.Family)
}

// Proxier keeps HNS as Kubernetes wants it. Its methods may be called from several
// goroutines; all of its work happens in Run.
type Proxier struct {
	cfg     Config
	store   *services.Store
	table   *Table
	events  *events.Reporter
	wakeup  chan struct{}
	results chan func(*engine.Engine)
	// networkReader bounds what HNS does not answer.
	networkReader *networkReader

	mu       sync.Mutex
	requests []func(*engine.Engine)
	idle     bool

	// All below belongs to the goroutine of Run.
	engine *engine.Engine
	report *reporter
	// lastSubmit is when changes were taken last; recompute: all are to be taken.
	lastSubmit time.Time
	recompute  bool
	// incompatible is why the proxy cannot do its work on this HNS.
	incompatible error
}

// New makes a Proxier, or says what of the configuration cannot be used. It touches HNS only
// in Run.
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

// SetNetwork says on which network the proxier works and with which source VIP, for a caller that
// finds out after New. It must be called before Run.
func (p *Proxier) SetNetwork(network string, sourceVIP netip.Addr) {
	p.cfg.Network, p.cfg.Options.SourceVIP = network, sourceVIP
	p.networkReader.network = network
}

// Store returns the store that informers fill.
func (p *Proxier) Store() *services.Store { return p.store }

// Table returns the status of all frontends.
func (p *Proxier) Table() *Table { return p.table }

// Run keeps HNS as Kubernetes wants it until ctx ends, and leaves HNS as it is. It must
// start after the first lists of Services and EndpointSlices are in the store: what they
// do not name is a leftover, and is deleted (law 7). It may be called once. An error is that of
// Config.Fit.
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

// requestRecompute makes the engine get the Services again for which it asks, at once.
func (p *Proxier) requestRecompute(r engine.Ready) {
	if r.Recompute {
		p.store.MarkAll()
	}
	p.store.Mark(r.Resubmit...)
	if r.Recompute || len(r.Resubmit) > 0 {
		p.recompute, p.lastSubmit = true, time.Time{}
	}
}

// submitChanges hands the Services that changed to the engine, unless it did so a moment ago.
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

// nextSubmit is when changes are taken next: at once while nothing is written, else once in a
// while, so that they merge.
func (p *Proxier) nextSubmit() time.Time {
	if p.lastSubmit.IsZero() {
		return time.Time{}
	}
	return p.lastSubmit.Add(p.cfg.MinSyncPeriod)
}

// wait sleeps until there is something to do, and takes it in.
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

// poll takes in what others asked for, and the answers that are there.
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

// input hands something to the engine, which learns what time it is by it.
func (p *Proxier) input(take func(*engine.Engine)) {
	p.engine.Advance(p.cfg.Clock.Now())
	take(p.engine)
}

// request has the loop do something to the engine.
func (p *Proxier) request(do func(*engine.Engine)) {
	p.mu.Lock()
	p.requests = append(p.requests, do)
	p.mu.Unlock()
	select {
	case p.wakeup <- struct{}{}:
	default:
	}
}

// SetNode says what the Node object is now.
func (p *Proxier) SetNode(n services.Node) {
	n = n.WithOverrides(p.cfg.Node.IPs)
	n.Name = p.cfg.Node.Name
	p.request(func(e *engine.Engine) { e.SetNode(n) })
}

// Audit asks for a comparison with HNS now.
func (p *Proxier) Audit() { p.request((*engine.Engine).Audit) }

// HNSChanged says that HNS itself may have changed (see hnslb.Change): it is asked at once
// rather than at the next audit.
func (p *Proxier) HNSChanged(c hnslb.Change) {
	if c == hnslb.NetworksChanged {
		p.request((*engine.Engine).CheckNetwork)
	} else {
		p.networkReader.reset()
		p.request((*engine.Engine).ServiceChanged)
	}
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
