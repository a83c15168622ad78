// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/load"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/scenario"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

const (
	// pollInterval is how often the end is looked for.
	pollInterval = 10 * time.Millisecond
	// lookEvery is how often all of HNS is looked at, which takes the machine some time.
	lookEvery = 250 * time.Millisecond
)

// Config is what a run needs.
type Config struct {
	Scenario scenario.Scenario
	System   System
	Load     *load.Generator
	// Tracker has heard of everything in HNS, and of what must be there, see Tracker.Begin.
	Tracker *Tracker
	// SourceVIP is the address of the node's own endpoint on an overlay.
	SourceVIP netip.Addr
	Limits
}

// Limits end a run, and tell how far it is.
type Limits struct {
	// Patience is how long to wait for the last changes.
	Patience time.Duration
	// MaxBacklog ends the run as overloaded when more changes are waiting; 0 for any number.
	MaxBacklog int
	// Progress hears of each second; nil for nobody.
	Progress func(result.Second)
}

// Options are those of one run of a scenario that can be run again and again.
type Options struct {
	// Rate and Duration replace those of the scenario when they are not 0.
	Rate     float64
	Duration time.Duration
	Limits
}

// errOverloaded ends a run whose backlog is too long.
var errOverloaded = errors.New("the backlog is too long")

type run struct {
	Config
	begun time.Time
	// calls and writing are those of HNS, seen last.
	calls   map[hnslb.Verb]int
	writing time.Duration
	sampled time.Time
	result  *result.Result
	// peak is the most memory seen.
	peak    uint64
	actions int
	needed  int
	noise   int
	events  chan error
}

// Run offers the changes, waits until they are in force, and returns what it found. When ctx ends it stops to offer and returns what
// there is. An error is of the bench, not of the proxy.
func Run(ctx context.Context, c Config) (*result.Result, error) {
	r := &run{Config: c, result: &result.Result{Version: result.Version, Latency: result.NewHistogram()}, events: make(chan error, 1)}
	before, err := c.System.Usage()
	if err != nil {
		return nil, err
	}
	c.System.HNS().ResetCounts()
	c.System.HNS().ResetDark()
	c.Tracker.Take()
	r.begun, r.calls = time.Now(), map[hnslb.Verb]int{}
	r.sampled = r.begun
	stop := r.sampleEachSecond()
	end, err := r.offerAndWait(ctx)
	stop()
	if err != nil {
		return nil, err
	}
	return r.result, r.sum(end, before)
}

// offerAndWait returns when all was done.
func (r *run) offerAndWait(ctx context.Context) (time.Time, error) {
	switch err := r.offer(ctx); {
	case errors.Is(err, errOverloaded):
		r.result.Run.Overloaded = true
		return time.Now(), nil
	case ctx.Err() != nil:
		r.result.Run.Interrupted = true
		return time.Now(), nil
	case err != nil:
		return time.Time{}, err
	}
	offered := time.Now()
	end, err := r.wait(ctx)
	r.result.Totals.TailSeconds = end.Sub(offered).Seconds()
	if ctx.Err() != nil {
		r.result.Run.Interrupted = true
		return time.Now(), nil
	}
	return end, err
}

// offer makes all changes, each at its time or, when that has passed, at once.
func (r *run) offer(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for c, ok := r.Load.Next(); ok; c, ok = r.Load.Next() {
		intended := r.begun.Add(c.At)
		if wait := time.Until(intended); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case err := <-r.events:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		} else if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.do(ctx, c, intended); err != nil {
			return err
		}
		if r.MaxBacklog > 0 && r.Tracker.Backlog() > r.MaxBacklog {
			return errOverloaded
		}
	}
	return nil
}

func (r *run) do(ctx context.Context, c load.Change, intended time.Time) error {
	switch c.Action {
	case load.RestartProxy:
		r.actions++
		return r.System.RestartProxy(ctx)
	case load.RestartHNS:
		r.actions++
		r.restartHNS(ctx)
		return nil
	}
	r.result.Totals.Changes++
	r.needed += c.NeededWrites
	if len(c.Wants) == 0 {
		r.noise++
	}
	r.Tracker.Expect(c.Wants, intended)
	return r.System.Apply(ctx, c)
}

// restartHNS takes its time while changes go on.
func (r *run) restartHNS(ctx context.Context) {
	churn := r.Scenario.Churn
	var o emulator.RestartOptions
	for _, lost := range churn.Loses {
		o.LoseLoadBalancers = o.LoseLoadBalancers || lost == "loadBalancers"
		o.LoseEndpoints = o.LoseEndpoints || lost == "endpoints"
	}
	hns := r.System.HNS()
	hns.Stop()
	go func() {
		select {
		case <-time.After(churn.Down.Duration):
		case <-ctx.Done():
		}
		hns.Start(o)
	}()
}

// wait returns when the last write was made, once HNS holds what it must and nothing else and the proxy is idle, or patience is at
// its end.
func (r *run) wait(ctx context.Context) (time.Time, error) {
	begun := time.Now()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	quiet, looked, writes := begun, time.Time{}, -1
	for time.Since(begun) < r.Patience {
		if now := r.writes(); now != writes || r.Tracker.Missing() > 0 {
			quiet, writes = time.Now(), now
		} else if r.System.Idle() && time.Since(looked) > lookEvery {
			looked = time.Now()
			r.Tracker.Quiet()
			left := r.violations()
			left.OutOfOrder = 0 // waiting does not mend it
			if left == (result.Violations{}) {
				return quiet, nil
			}
		}
		select {
		case err := <-r.events:
			return time.Time{}, err
		case <-ctx.Done():
			return time.Now(), nil
		case <-ticker.C:
		}
	}
	return quiet, nil
}

// writes returns how many writes HNS has got.
func (r *run) writes() int {
	n := 0
	for v, calls := range r.System.HNS().Counts() {
		if v.IsWrite() {
			n += calls
		}
	}
	return n
}

func (r *run) violations() result.Violations {
	return r.Tracker.Violations(r.System.HNS().State(), r.SourceVIP)
}

// sum fills in what is known at the end.
func (r *run) sum(end time.Time, before Usage) error {
	after, err := r.System.Usage()
	if err != nil {
		return fmt.Errorf("usage at the end: %w", err)
	}
	t, hns := &r.result.Totals, r.System.HNS()
	t.Noise, t.NeededWrites = r.noise, r.needed
	t.Seconds = end.Sub(r.begun).Seconds()
	applied := 0
	for _, s := range r.result.Series {
		applied += s.Applied
		r.result.Latency.Merge(s.Latency)
	}
	t.Latency = r.result.Latency.Summary()
	t.HNSCalls = map[string]int{}
	for v, n := range hns.Counts() {
		t.HNSCalls[string(v)] = n
		if v.IsWrite() {
			t.HNSWrites += n
		}
	}
	writing := hns.WriteTime().Seconds()
	if t.Seconds > 0 {
		t.Throughput = float64(applied) / t.Seconds
		t.BusyShare = min(1, writing/t.Seconds)
	}
	if t.HNSWrites > 0 && writing > 0 && r.needed > 0 {
		each := writing / float64(t.HNSWrites)
		needs := each * float64(r.needed)
		t.WriteMillis = 1000 * each
		t.Efficiency, t.HNSRate = needs/t.Seconds, float64(t.Changes-t.Noise)/needs
	}
	t.Dark = r.dark()
	t.CPUSeconds = after.CPUSeconds - before.CPUSeconds
	t.PeakMemoryBytes = max(after.PeakMemoryBytes, r.peak)
	t.Allocations, t.AllocatedBytes = after.Allocations-before.Allocations, after.AllocatedBytes-before.AllocatedBytes
	t.Violations = r.violations()
	if r.needed == 0 && r.actions == 0 {
		t.Violations.NeedlessWrites = t.HNSWrites
	}
	return nil
}

// dark sums up the frontends that had backends all the time.
func (r *run) dark() result.Dark {
	var d result.Dark
	for k, one := range r.System.HNS().Dark() {
		if one.Times == 0 || !r.Tracker.mustServe(k) {
			continue
		}
		d.Frontends++
		d.Times += one.Times
		d.TotalMillis += Millis(one.Total)
		d.LongestMillis = max(d.LongestMillis, Millis(one.Longest))
	}
	return d
}

// Millis returns a time in milliseconds.
func Millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
