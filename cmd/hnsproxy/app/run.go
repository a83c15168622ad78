// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/objects"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/table"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/probe"
	"github.com/hnsproxy/hnsproxy/hnslb/watch"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/health"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-base/featuregate"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Deps are the dependencies of Run. The zero value uses those of the host.
type Deps struct {
	// Driver is the HNS to program; nil for the one that the options select.
	Driver hnslb.Driver
	// Emulate creates the HNS of --hns-driver=emulator; nil if not available.
	Emulate Emulate
	// In is the input of --hns-objects=-; nil for standard input.
	In io.Reader
	// Out is the output of the table; nil for standard output.
	Out io.Writer
	// Clock is nil for the real one.
	Clock clock.WithTicker
	// Notices returns the errors to show below the table; nil for none.
	Notices func() []string
	// OnStart is called before the proxy starts, when the initial lists are in its store.
	OnStart func(Started)
	// Configuration returns the content of /configz, Flags that of /flagz; nil for none.
	Configuration func() any
	Flags         func() map[string]string
	// OnListen receives the address of each open port: "healthz" and "metrics".
	OnListen func(name string, addr net.Addr)
}

// Started gives tests access to a running program.
type Started struct{ Proxier *proxier.Proxier }

func (d *Deps) complete() {
	if d.In == nil {
		d.In = os.Stdin
	}
	if d.Out == nil {
		d.Out = os.Stdout
	}
	if d.Clock == nil {
		d.Clock = clock.RealClock{}
	}
	if d.Notices == nil {
		d.Notices = func() []string { return nil }
	}
}

// program is the state of one Run.
type program struct {
	opts     Options
	deps     Deps
	logger   klog.Logger
	gates    featuregate.FeatureGate
	registry *prometheus.Registry
	metrics  *metrics.Metrics
	health   *health.Health
	proxier  *proxier.Proxier
	ports    *health.NodePorts
	source   source
	// watch configures how changes of HNS itself are detected.
	watch watch.Config
	// events and apiMonitor are nil without an API server.
	events     *eventSender
	apiMonitor *apiMonitor
	// loggedDriver is the HNS to program; it logs each call.
	loggedDriver hnslb.Driver
	// calls counts its calls.
	calls table.Calls

	// emulation is nil without --hns-driver=emulator.
	emulation Emulation
}

// Run runs the proxy: it watches the source of objects and keeps HNS in sync until ctx ends, then
// returns nil and leaves HNS rules in place. o must be completed. An error is about the options, or
// about a server that could not listen with BindAddressHardFail.
//
// It logs to the logger of ctx.
func Run(ctx context.Context, o Options, d Deps) error {
	for {
		err := runOnce(ctx, o, d)
		found, ok := errors.AsType[*sourceVIPFound](err)
		if !ok {
			return err
		}
		o.SourceVIP = found.ip.String()
	}
}

func runOnce(ctx context.Context, o Options, d Deps) error {
	d.complete()
	validate := o.Validate
	if d.Driver != nil {
		validate = o.ValidateWithDriver
	}
	if err := validate(); err != nil {
		return err
	}
	p := &program{opts: o, deps: d, logger: klog.FromContext(ctx), registry: prometheus.NewRegistry()}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err := p.build(ctx)
	if err == nil {
		err = p.run(ctx)
	}
	p.events.close()
	return err
}

// build creates the parts of the program. Nothing runs yet.
func (p *program) build(ctx context.Context) error {
	o := &p.opts
	gates, err := o.Gates()
	if err != nil {
		return err
	}
	p.addMetrics(gates)
	driver, err := p.driver()
	if err != nil {
		return err
	}
	if o.Network == "" && p.networkNames() == nil {
		return options.Invalid("network-name", "", "the name of the HNS network is unknown", "set it, or set KUBE_NETWORK")
	}
	p.loggedDriver = logCalls(p.calls.Count(driver), p.logger, p.deps.Clock)
	if p.events, err = p.newEventSender(ctx); err != nil {
		return err
	}
	wanted, seed := o.Desired(), uint64(p.deps.Clock.Now().UnixNano())
	p.health = health.New(health.Config{
		SyncPeriod: o.SyncPeriod,
		Clock:      p.deps.Clock,
		OnHealthz:  p.metrics.HealthzServed,
		OnLivez:    p.metrics.LivezServed,
	})
	learned := probe.Learn(p.loggedDriver, o.StateDir, p.logger)
	counted := metrics.Instrument(hnslb.WithTimeout(learned, o.HNSCallTimeout), p.metrics, p.deps.Clock)
	p.watch = watch.Config{Bare: driver, Driver: counted, Network: o.Network, Clock: p.deps.Clock, Logger: p.logger}
	p.proxier, err = proxier.New(proxier.Config{
		CallTimeout:        o.HNSCallTimeout,
		MaxConcurrentCalls: o.CallsAtOnce,
		CheckCompatible:    wanted.CheckCompatible,
		Driver:             metrics.Instrument(learned, p.metrics, p.deps.Clock), // without a timeout: the engine handles calls that hang
		Network:            o.Network,
		Node:               o.Node(),
		Options:            wanted,
		AuditPeriod:        o.SyncPeriod,
		MinSyncPeriod:      o.Gather(),
		Share:              o.HNSShare,
		Metrics:            p.metrics,
		Health:             p.health,
		SendEvent:          p.events.serviceEvents(),
		SendNodeEvent:      func(reason, message string) { p.sendNodeEvent(corev1.EventTypeWarning, reason, actionClean, message) },
		Logger:             p.logger,
		Clock:              p.deps.Clock,
		Seed:               seed,
	})
	if err != nil {
		return err
	}
	p.ports = health.NewNodePorts(health.NodePortsConfig{
		Healthy:        p.health.Healthy,
		Addresses:      wanted.NodePortAddresses,
		EachAddress:    o.ForwardHealthCheckVIP,
		Clock:          p.deps.Clock,
		OnListenFailed: p.sendPortFailed,
		Logger:         p.logger,
		Seed:           seed,
	})
	p.ports.SetNode(o.Node())
	p.ports.Follow(p.proxier.Store(), o.Hostname)
	return p.connect(ctx, gates)
}

// driver returns the driver of the HNS to program, without decorators.
func (p *program) driver() (hnslb.Driver, error) {
	switch {
	case p.deps.Driver != nil:
		return p.deps.Driver, nil
	case p.opts.HNS == HCN:
		return newHCN(p.logger)
	}
	e, err := p.deps.Emulate.make(&p.opts, p.logger, p.deps.Clock)
	if err != nil {
		return nil, err
	}
	p.emulation = e
	return e.Driver(), nil
}

// connect makes the proxy, and the emulated network plugin, follow the source of objects.
func (p *program) connect(ctx context.Context, gate featuregate.FeatureGate) (err error) {
	k := cacheTransform{p.proxier.Store(), gate.Enabled(options.AllowExternalIPs)}
	f := &feeder{
		proxier: p.proxier, metrics: p.metrics, health: p.health, ports: p.ports, emulation: p.emulation,
		bindAddresses: p.opts.Node().IPs, logger: p.logger,
	}
	if len(p.opts.Objects) > 0 {
		p.source, err = p.openFiles(ctx, k, f.handlers())
		return err
	}
	lw, err := p.apiListWatches()
	if err != nil {
		return err
	}
	if p.source, err = newInformers(lw, p.opts.ConfigSyncPeriod, k, f.handlers()); err != nil {
		return fmt.Errorf("make informers: %w", err)
	}
	return nil
}

// node returns the object of this node, nil if there is none.
func (p *program) node() *corev1.Node {
	n, _ := p.source.get(objects.Nodes, "", p.opts.Hostname).(*corev1.Node)
	return n
}

// run runs all parts. The first error ends the others.
func (p *program) run(ctx context.Context) error {
	p.logger.Info("Starting hnsproxy", "version", ownVersion(), "kubernetes", kubernetesVersion(), "node", p.opts.Hostname, "hns", p.opts.HNS)
	servers, err := p.servers()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range servers {
		group.Go(func() error { return s.Serve(ctx) })
	}
	group.Go(func() error {
		p.source.run(ctx)
		return nil
	})
	if p.apiMonitor != nil {
		group.Go(func() error {
			p.apiMonitor.run(ctx)
			return nil
		})
	}
	group.Go(func() error { return p.proxy(ctx) })
	if p.opts.Table {
		f := &table.Follower{Out: p.deps.Out, Rows: p.proxier.Table().Rows, Calls: p.calls.Counts, Notices: p.deps.Notices}
		group.Go(func() error { return f.Run(ctx, p.deps.Clock) })
	}
	if p.emulation == nil {
		return group.Wait()
	}
	group.Go(func() error {
		p.emulation.Run(ctx)
		return nil
	})
	err = group.Wait()
	if saved := p.emulation.Save(); err == nil {
		err = saved
	}
	return err
}

// proxy runs the proxier after the initial lists are in its store: HNS objects that they do not
// explain are leftovers (law 7).
func (p *program) proxy(ctx context.Context) error {
	if !p.source.wait(ctx) {
		return nil
	}
	if p.node() == nil {
		p.logger.Error(nil, "Node not found; treating all endpoints as remote until it exists",
			"node", p.opts.Hostname, "remedy", "set --hostname-override to the name of the Node")
	}
	if p.emulation != nil {
		if err := p.emulation.Prepare(p.node()); err != nil {
			return err
		}
	}
	complete, ok := p.findNetwork(ctx)
	if !ok {
		return nil
	}
	p.sendNodeEvent(corev1.EventTypeNormal, reasonStarting, actionStart, fmt.Sprintf("hnsproxy %s is programming HNS network %s", ownVersion(), p.opts.Network))
	if p.deps.OnStart != nil {
		p.deps.OnStart(Started{p.proxier})
	}
	ctx, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stop()
	beside.Go(func() { p.ports.Run(ctx) })
	beside.Go(func() { watch.Run(ctx, p.watch, p.hnsChanged) })
	if complete {
		return p.proxier.Run(ctx)
	}
	var found netip.Addr
	beside.Go(func() {
		if found = p.awaitSourceVIP(ctx); found.IsValid() {
			stop()
		}
	})
	err := p.proxier.Run(ctx)
	stop()
	if beside.Wait(); found.IsValid() && err == nil {
		return &sourceVIPFound{found}
	}
	return err
}

// hnsChanged makes the proxier read HNS, which may have lost any object.
func (p *program) hnsChanged(c hnslb.Change) {
	p.logger.V(2).Info("HNS changed", "change", c)
	p.proxier.HNSChanged(c)
}
