// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/proxier"
)

// storm replaces endpoints of 300 Services of 5 endpoints, 50 a second for 30 s, on an HNS
// that begins to fail after the cold start.
func storm(t *testing.T, s *served, hns *emulator.Emulator, fail func(), changes ...func(*proxier.Config)) (c *cluster, n *node, made int) {
	t.Helper()
	const replaced, interval = 30 * 50, time.Second / 50
	c = newCluster(300, 5)
	n = start(t, hns, c, append(changes, usual)...)
	n.coldStart(c)
	n.settle()
	hns.ResetCounts()
	fail()
	for i := range replaced {
		s.change(t, n, c, i%c.services, c.replace(i%c.services))
		<-time.After(interval)
	}
	return c, n, replaced
}

// TestFailingWrites: every seventh write of each kind fails, in turn before and after its work
// was done. Which writes of a change fail is chance, so several storms are taken together.
func TestFailingWrites(t *testing.T) {
	const storms, bar, callsBar = 3, time.Second, 15
	for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025()} {
		t.Run(profile.Name, func(t *testing.T) {
			var took []time.Duration
			calls := 0
			for seed := range uint64(storms) {
				synctest.Test(t, func(t *testing.T) {
					s := newServed()
					hns := newHNS(t, profile, emulator.NoLatency(), s.heard)
					c, n, made := storm(t, s, hns, func() { hns.FailEvery(7) }, func(cfg *proxier.Config) { cfg.Seed = seed })
					defer n.stop()
					<-time.After(10 * time.Second)
					took, calls = append(took, s.took(t, made, nil)...), calls+sum(hns.HCNCalls())
					t.Logf("calls: %v", hns.Counts())
					wantFresh(t, hns, c)
				})
			}
			slices.Sort(took)
			perChange := float64(calls) / float64(len(took))
			t.Logf("change to served: p50 %v, p99 %v, max %v, bar of p99 %v; %.1f calls through hcsshim per change, bar %d",
				p(took, 50), p(took, 99), p(took, 100), bar, perChange, callsBar)
			if p(took, 99) > bar || perChange > callsBar {
				t.Errorf("p99 %v, bar %v; %.1f calls per change, bar %d", p(took, 99), bar, perChange, callsBar)
			}
		})
	}
}

// TestLostAnswers: the answer of every seventh write is lost although its work was done.
func TestLostAnswers(t *testing.T) {
	const bar, callsBar = time.Second, 15
	for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025()} {
		t.Run(profile.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, faults := newServed(), &meddler{}
				hns := newHNS(t, profile, emulator.NoLatency(), s.heard)
				c, n, made := storm(t, s, hns, func() { faults.set(7, 0) }, faults.join)
				defer n.stop()
				<-time.After(10 * time.Second)
				took, calls := s.took(t, made, nil), float64(sum(hns.HCNCalls()))/float64(made)
				t.Logf("change to served: p50 %v, p99 %v, max %v, bar of p99 %v; %.1f calls through hcsshim per change, bar %d; %v",
					p(took, 50), p(took, 99), p(took, 100), bar, calls, callsBar, hns.Counts())
				if p(took, 99) > bar || calls > callsBar {
					t.Errorf("p99 %v, bar %v; %.1f calls per change, bar %d", p(took, 99), bar, calls, callsBar)
				}
				wantFresh(t, hns, c)
			})
		})
	}
}

// TestLateCalls: every fiftieth write takes half a minute before it takes effect, and the
// answer of every seventh is lost.
func TestLateCalls(t *testing.T) {
	const bar = time.Second
	for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025()} {
		t.Run(profile.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, faults := newServed(), &meddler{}
				hns := newHNS(t, profile, emulator.NoLatency(), s.heard)
				c, n, made := storm(t, s, hns, func() { faults.set(7, 50) }, faults.join)
				defer n.stop()
				faults.set(0, 0)
				<-time.After(late + 45*time.Second)
				all, took := s.took(t, made, nil), s.took(t, made, func(c servedChange) bool { return !faults.held(c) })
				t.Logf("change to served: p50 %v, p99 %v, max %v, bar of p99 %v, of %d changes; of all %d p99 %v, max %v; %d late calls",
					p(took, 50), p(took, 99), p(took, 100), bar, len(took), made, p(all, 99), p(all, 100), len(faults.lates))
				if p(took, 99) > bar {
					t.Errorf("p99 %v of those that no late call holds, bar %v", p(took, 99), bar)
				}
				wantFresh(t, hns, c)
			})
		})
	}
}

func lost(v hnslb.Verb, object string) error {
	return hnslb.NewError(v, object, hnslb.ResultCallFailed, emulator.ErrorText(hnslb.ResultCallFailed, ""))
}
