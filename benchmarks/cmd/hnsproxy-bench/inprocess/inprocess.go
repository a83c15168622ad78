// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package inprocess runs hnsproxy's core within this process, on the emulator: objects go straight to its store, as the handlers of
// its informers would put them there. There is no API server, no network and no Windows: what is measured is the core, and what
// the emulated HNS takes.
package inprocess

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/load"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/measure"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/scenario"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/hnslb/watch"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

const networkName = "pods"

func nodeIP() netip.Addr { return netip.MustParseAddr("10.0.0.4") }

// System is a proxier on an emulator.
type System struct {
	scenario scenario.Scenario
	hns      *emulator.Emulator

	mu sync.Mutex
	// serviceObjects and sliceObjects are what an API server would hold, by name.
	serviceObjects map[string]*corev1.Service
	sliceObjects   map[string]*discoveryv1.EndpointSlice
	proxy          *proxier.Proxier
	stop           func() error
}

var _ measure.System = (*System)(nil)

// Profile returns the profile of a scenario and its latency. HNS may take none to be filled.
func Profile(s scenario.Scenario) (profiles.Profile, emulator.Latency, error) {
	profile, err := options.EmulatedProfile(s.HNS.Profile)
	if err != nil {
		return profiles.Profile{}, emulator.Latency{}, err
	}
	switch s.HNS.Latency {
	case options.ProfileLatency:
		return profile, emulator.NoLatency(), nil
	case options.WS2022Latency:
		return profile, emulator.WS2022Latency(), nil
	}
	profile.Timings = nil
	return profile, emulator.NoLatency(), nil
}

// Modifies tells whether the HNS of a scenario changes load balancers in place.
func Modifies(s scenario.Scenario) (bool, error) {
	profile, _, err := Profile(s)
	return hnslb.FeaturesOf(profile.Version).Modify, err
}

// Fill returns the state of an HNS that holds the cluster of a scenario, as a proxy that meets an empty HNS without latency
// makes it.
func Fill(ctx context.Context, s scenario.Scenario, initial load.Change) (emulator.State, error) {
	profile, _, err := Profile(s)
	if err != nil {
		return emulator.State{}, err
	}
	profile.Timings = nil
	tracker := measure.NewTracker()
	tracker.Begin(initial.Wants, false)
	hns := emulator.New(emulator.Config{Profile: profile, Watch: tracker.Hear, Seed: s.Seed})
	if err := addNetwork(hns, s); err != nil {
		return emulator.State{}, err
	}
	sys := newSystem(s, hns)
	sys.remember(initial.Writes)
	if err := addLocal(hns, initial.Appear); err != nil {
		return emulator.State{}, err
	}
	if err := sys.begin(); err != nil {
		return emulator.State{}, err
	}
	err = poll(ctx, func() bool { return tracker.Missing() == 0 && sys.Idle() })
	if err != nil {
		err = fmt.Errorf("fill HNS: %d frontends are missing: %w", tracker.Missing(), err)
	}
	if stopped := sys.Close(); err == nil {
		err = stopped
	}
	return hns.State(), err
}

// Start starts a proxier on an HNS in that state. It returns when the proxier is idle, having adopted what is there. HNS tells hear
// what changes. A nil clock is the machine's, for both.
func Start(ctx context.Context, s scenario.Scenario, initial load.Change, st emulator.State, o Options) (*System, error) {
	profile, latency, err := Profile(s)
	if err != nil {
		return nil, err
	}
	hns := emulator.New(emulator.Config{Profile: profile, Latency: latency, Clock: o.HNSClock, Watch: o.Hear, Seed: s.Seed})
	if err := hns.Restore(st); err != nil {
		return nil, err
	}
	sys := newSystem(s, hns)
	sys.remember(initial.Writes)
	if err := sys.begin(); err != nil {
		return nil, err
	}
	if err := sys.settle(ctx); err != nil {
		return nil, fmt.Errorf("wait until the proxy has adopted the cluster: %w", err)
	}
	return sys, nil
}

// Options of Start.
type Options struct {
	Hear func(emulator.Serving)
	// HNSClock is that of the emulator.
	HNSClock clock.Clock
}

func newSystem(s scenario.Scenario, hns *emulator.Emulator) *System {
	return &System{
		scenario: s, hns: hns, serviceObjects: map[string]*corev1.Service{}, sliceObjects: map[string]*discoveryv1.EndpointSlice{},
	}
}

func addNetwork(hns *emulator.Emulator, s scenario.Scenario) error {
	spec := emulator.NetworkSpec{
		Name: networkName, Type: s.HNS.Network, ManagementIP: nodeIP(), HostMAC: "00-15-5D-00-00-04", Subnets: load.LocalSubnets()[:1],
	}
	if s.HNS.Network == hnslb.NetworkOverlay {
		spec.Remotes = []hnslb.RemoteSubnet{{Prefix: load.RemoteSubnet(), ProviderAddress: netip.MustParseAddr("10.0.0.5")}}
	} else {
		spec.Subnets, spec.ManagementIPv6 = load.LocalSubnets(), netip.MustParseAddr("fd00::4")
	}
	_, err := hns.AddNetwork(spec)
	return err
}

func addLocal(hns *emulator.Emulator, ips []netip.Addr) error {
	for _, ip := range ips {
		if _, err := hns.AddLocalEndpoint(networkName, ip); err != nil {
			return fmt.Errorf("make the HNS endpoint of a local pod: %w", err)
		}
	}
	return nil
}

// begin starts a proxier that knows the objects.
func (s *System) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	config := proxier.Config{
		Driver: s.hns, Network: networkName,
		Node:    services.Node{Name: load.NodeName, IPs: []netip.Addr{nodeIP()}},
		Options: desired.Options{DSR: true},
		// As the program runs it.
		AuditPeriod: 30 * time.Second, MinSyncPeriod: 50 * time.Millisecond,
		Metrics: metrics.New(prometheus.NewRegistry()), Logger: klog.Logger{}, Clock: clock.RealClock{}, Seed: s.scenario.Seed,
	}
	if s.scenario.HNS.Network == hnslb.NetworkOverlay {
		config.Options.SourceVIP = load.SourceVIP()
	}
	proxy, err := proxier.New(config)
	if err != nil {
		return err
	}
	for _, o := range s.serviceObjects {
		if _, err := proxy.Store().SetService(o); err != nil {
			return err
		}
	}
	for _, o := range s.sliceObjects {
		if _, err := proxy.Store().SetSlice(nil, o); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- proxy.Run(ctx) }()
	told := make(chan struct{})
	go func() {
		defer close(told)
		watch.Run(ctx, watch.Config{Bare: s.hns, Driver: s.hns, Network: networkName, Clock: clock.RealClock{}}, proxy.HNSChanged)
	}()
	s.proxy = proxy
	s.stop = func() error {
		cancel()
		<-told
		return <-ended
	}
	return nil
}

// remember keeps objects as an API server would.
func (s *System) remember(writes []load.Write) {
	for _, w := range writes {
		switch {
		case w.Service != nil && w.Delete:
			delete(s.serviceObjects, w.Service.Name)
		case w.Service != nil:
			s.serviceObjects[w.Service.Name] = w.Service
		case w.Delete:
			delete(s.sliceObjects, w.Slice.Name)
		default:
			s.sliceObjects[w.Slice.Name] = w.Slice
		}
	}
}

// HNS is part of measure.System.
func (s *System) HNS() *emulator.Emulator { return s.hns }

// Apply is part of measure.System.
func (s *System) Apply(_ context.Context, c load.Change) error {
	if err := addLocal(s.hns, c.Appear); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range c.Writes {
		if err := s.hand(w); err != nil {
			return err
		}
	}
	s.remember(c.Writes)
	for _, ip := range c.Vanish {
		if err := s.hns.RemoveLocalEndpoint(ip); err != nil {
			return fmt.Errorf("remove the HNS endpoint of a local pod: %w", err)
		}
	}
	return nil
}

// hand hands a write to the proxy as its handlers would.
func (s *System) hand(w load.Write) error {
	store := s.proxy.Store()
	var err error
	switch {
	case w.Service != nil && w.Delete:
		store.DeleteService(services.Name{Namespace: w.Service.Namespace, Name: w.Service.Name})
	case w.Service != nil:
		_, err = store.SetService(w.Service)
	case w.Delete:
		store.DeleteSlice(w.Slice)
	default:
		_, err = store.SetSlice(s.sliceObjects[w.Slice.Name], w.Slice)
	}
	return err
}

// RestartProxy is part of measure.System.
func (s *System) RestartProxy(context.Context) error {
	if err := s.Close(); err != nil {
		return err
	}
	return s.begin()
}

// Idle is part of measure.System.
func (s *System) Idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proxy.Idle()
}

// Usage is part of measure.System. It is that of this process, load and emulator included.
func (s *System) Usage() (measure.Usage, error) { return measure.OwnUsage() }

// Close stops the proxy.
func (s *System) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop()
}

// settle waits until the proxy is idle and has looked at HNS.
func (s *System) settle(ctx context.Context) error {
	return poll(ctx, func() bool {
		return s.Idle() && s.hns.Counts()[hnslb.VerbLoadBalancers] > 0
	})
}

func poll(ctx context.Context, done func() bool) error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return nil
}
