// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/e2e/bulk"
	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

const (
	// changes is how many a storm sees.
	changes = 300
	// settles is how long after the last change, and the last call that hangs, nothing may be missing or left over.
	settles = 10 * time.Second
)

// storm is what is wrong with HNS while Services change.
type storm struct {
	name  string
	fault func(*emulator.Emulator)
	// hangs is for how long calls hang, if any do.
	hangs time.Duration
}

// storms begin with fair weather.
func storms() []storm {
	const hangs = 30 * time.Second
	return []storm{
		{name: "healthy", fault: func(*emulator.Emulator) {}},
		{name: "failing", fault: func(hns *emulator.Emulator) { hns.FailEvery(7) }},
		{name: "answers lost", fault: func(hns *emulator.Emulator) { hns.LoseEvery(7) }},
		{"hanging", func(hns *emulator.Emulator) { hns.DelayEvery(50, hangs) }, hangs},
	}
}

// outcome is what became of the changes of a storm.
type outcome struct {
	// took is how long each change took that no late call held up, shortest first; held counts the others.
	took []time.Duration
	held int
	// late counts the calls that hung.
	late int
	// calls is how many calls of HNS a change took.
	calls float64
	// settled is how long after the last change HNS held what it must and nothing else.
	settled time.Duration
}

// TestChangesWhileHNSFails changes 50 of 300 Services a second while HNS is healthy, while each seventh write fails, in turn
// before and after its work, while the answer of each seventh is lost though its work was done, and while each fiftieth hangs for
// half a minute. Each time HNS comes to hold what it must and nothing else.
//
// Numbers of calls are the same on every machine, times are not: other programs may keep it busy. What changes take while HNS is
// healthy tells how busy, and HNS may take as many times longer to settle. p99 is printed beside the bar of one second, or as many
// times more, and not judged: benchmarks.TestFailingWrites and its neighbours hold it without noise.
func TestChangesWhileHNSFails(t *testing.T) {
	const count, endpoints, interval, callsBar = 300, 5, time.Second / 50, 15
	const bar, free = time.Second, 100 * time.Millisecond
	n := newTracked(t, asExe(harness.Setup{Profile: profiles.WS2022()})[0])
	cluster, services, nextIP := bulkServices(t, n.Namespace, count, endpoints)
	n.start(services)
	churn := bulk.Churn{
		Changes: changes, Interval: interval, NextIP: nextIP,
		Expect: func(_ int, s *bulk.Service, old, ip netip.Addr) error {
			n.tracker.Expect(s, old, ip)
			return nil
		},
	}
	busy := 1.0
	for _, s := range storms() {
		o := n.weather(t, s, func() error { return cluster.Churn(t.Context(), services[:count], churn) })
		p99 := percentile(o.took, 99)
		if s.name == "healthy" {
			busy = max(1, float64(p99)/float64(free))
		}
		allowed, within := longer(bar, busy), s.hangs+longer(settles, busy)
		t.Logf("%s: %d changes to programmed: p50 %v, p99 %v, max %v, bar of p99 %v; %d others were held up by %d late calls; "+
			"%.1f calls per change, bar %d; settled after %v, bar %v", s.name, len(o.took), percentile(o.took, 50), p99,
			percentile(o.took, 100), allowed, o.held, o.late, o.calls, callsBar, o.settled, within)
		if o.calls > callsBar || o.settled > within {
			t.Errorf("%s: %.1f calls per change, bar %d; settled after %v, bar %v", s.name, o.calls, callsBar, o.settled, within)
		}
		if (o.late > 0) != (s.hangs > 0) {
			t.Errorf("%s: %d calls were late", s.name, o.late)
		}
	}
}

func longer(d time.Duration, times float64) time.Duration {
	return time.Duration(float64(d) * times).Round(time.Millisecond)
}

// weather takes a node through a storm.
func (n *tracked) weather(t *testing.T, s storm, change func() error) outcome {
	t.Helper()
	n.HNS.ClearFaults()
	n.HNS.ResetCounts()
	n.tracker.ResetChanges()
	called := n.Called()
	s.fault(n.HNS)
	must(t, change())
	last := time.Now()
	// A late call holds up one frontend at most.
	n.Eventually("program what no late call holds up", func() bool { return n.tracker.Missing() <= len(n.HNS.Delayed()) })
	n.HNS.DelayEvery(0, 0)
	n.Eventually("settle", n.clean)
	o := outcome{settled: time.Since(last), calls: float64(n.Called()-called) / changes}
	n.measure(t, &o)
	n.Converge()
	return o
}

// clean tells whether HNS holds what it must and nothing else.
func (n *tracked) clean() bool {
	if n.tracker.Missing() > 0 {
		return false
	}
	endpoints, balancers := n.tracker.Surplus(n.HNS.State())
	return endpoints+balancers == 0
}

// measure takes the times of the changes.
func (n *tracked) measure(t *testing.T, o *outcome) {
	t.Helper()
	late := n.HNS.Delayed()
	o.late = len(late)
	for _, c := range n.tracker.Changes() {
		took, ok := c.Latency()
		switch {
		case !ok:
			t.Errorf("the change of %s to %s never arrived", c.Frontend, c.IP)
		case slices.ContainsFunc(late, func(l emulator.DelayedCall) bool { return holds(l, c) }):
			o.held++
		default:
			o.took = append(o.took, took)
		}
	}
	slices.Sort(o.took)
}

// holds tells whether a late call about the frontend or the endpoint of a change was under way during the change.
func holds(l emulator.DelayedCall, c bulk.Change) bool {
	about := l.Object == c.Frontend.String() || l.Object == c.IP.String() && l.Verb == hnslb.VerbCreateEndpoint
	return about && l.Begun.Before(c.Seen) && c.Sent.Before(l.Begun.Add(l.By))
}

func percentile(sorted []time.Duration, percent int) time.Duration {
	return sorted[max(0, (len(sorted)*percent+99)/100-1)].Round(100 * time.Microsecond)
}
