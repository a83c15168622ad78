// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package inprocess

import (
	"context"
	"errors"
	"net/netip"

	"k8s.io/utils/clock"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/load"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/measure"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/scenario"
	"github.com/hnsproxy/hnsproxy/e2e/fineclock"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// Bench runs a scenario as often as wanted, each time from the same beginning.
type Bench struct {
	scenario scenario.Scenario
	modifies bool
	filled   emulator.State
	// Clock of the emulated HNS: the machine's, with fine timers, unless a test sets another.
	Clock clock.Clock
}

// Prepare fills an HNS with the cluster of a scenario.
func Prepare(ctx context.Context, s scenario.Scenario) (*Bench, error) {
	modifies, err := Modifies(s)
	if err != nil {
		return nil, err
	}
	filled, err := Fill(ctx, s, load.NewGenerator(s, modifies).Initial())
	return &Bench{scenario: s, modifies: modifies, filled: filled, Clock: fineclock.Clock{}}, err
}

// Run runs the scenario once.
func (b *Bench) Run(ctx context.Context, o measure.Options) (r *result.Result, err error) {
	s := b.scenario
	if o.Rate > 0 {
		s.Churn.Rate = o.Rate
	}
	if o.Duration > 0 {
		s.Duration.Duration = o.Duration
	}
	g := load.NewGenerator(s, b.modifies)
	about, err := measure.About(s, g)
	if err != nil {
		return nil, err
	}
	initial := g.Initial()
	tracker := measure.NewTracker()
	tracker.Begin(initial.Wants, true)
	sys, err := Start(ctx, s, initial, b.filled, Options{Hear: tracker.Hear, HNSClock: b.Clock})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sys.Close()) }()
	r, err = measure.Run(ctx, measure.Config{
		Scenario: s, System: sys, Load: g, Tracker: tracker, SourceVIP: sourceVIP(s), Limits: o.Limits,
	})
	if err != nil {
		return nil, err
	}
	measure.Finish(about, r)
	_, latency, err := Profile(s)
	r.Totals.ModelWriteMillis = measure.Millis(latency.Write)
	return r, err
}

// sourceVIP is the address of the node's own endpoint, if the network has one.
func sourceVIP(s scenario.Scenario) netip.Addr {
	if s.HNS.Network == hnslb.NetworkOverlay {
		return load.SourceVIP()
	}
	return netip.Addr{}
}
