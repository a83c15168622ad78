// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package inprocess

import (
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/measure"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/scenario"
)

func seconds(n int) metav1.Duration { return metav1.Duration{Duration: time.Duration(n) * time.Second} }

// small is a scenario on a cluster that is made quickly.
func small(s scenario.Scenario) scenario.Scenario {
	s.Cluster.Services, s.Cluster.Endpoints, s.Cluster.Nodes = 20, 6, 10
	s.Duration = seconds(20)
	return s
}

// run runs a scenario in virtual time.
func run(t *testing.T, s scenario.Scenario, o measure.Options) *result.Result {
	t.Helper()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	b, err := Prepare(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	b.Clock = clock.RealClock{} // that of the bubble
	if o.Patience == 0 {
		o.Patience = 3 * time.Minute
	}
	r, err := b.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestScenarios runs each scenario on a small cluster: all changes come into force, and nothing is left over.
func TestScenarios(t *testing.T) {
	all, err := scenario.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := run(t, small(s), measure.Options{})
				if err := r.Err(); err != nil {
					t.Errorf("%v; totals %+v", err, r.Totals)
				}
				if r.Totals.Changes == 0 || r.Totals.Latency.Count != r.Totals.Changes-r.Totals.Noise {
					t.Errorf("%d changes, %d of them noise, %d in force", r.Totals.Changes, r.Totals.Noise, r.Totals.Latency.Count)
				}
			})
		})
	}
}

// TestKinds of clusters: other addresses, pods of this node, several ports and slices, on all types of networks.
func TestClusters(t *testing.T) {
	for name, change := range map[string]func(*scenario.Scenario){
		"IPv6":       func(s *scenario.Scenario) { s.Cluster.IPFamilies = []string{"IPv6"} },
		"dual stack": func(s *scenario.Scenario) { s.Cluster.IPFamilies = []string{"IPv4", "IPv6"} },
		"local":      func(s *scenario.Scenario) { s.Cluster.LocalShare = 0.5 },
		"many ports": func(s *scenario.Scenario) { s.Cluster.Ports, s.Cluster.Slices = 3, 2 },
		"overlay":    func(s *scenario.Scenario) { s.HNS.Network = "Overlay" },
		"ws2025":     func(s *scenario.Scenario) { s.HNS.Profile = "ws2025" },
		"ws2019":     func(s *scenario.Scenario) { s.HNS.Profile = "ws2019" },
		"no latency": func(s *scenario.Scenario) { s.HNS.Latency = "none" },
		"made overlay": func(s *scenario.Scenario) {
			s.HNS.Network, s.Churn = "Overlay", scenario.Churn{Kind: scenario.Services, Rate: 2, Size: 3}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := small(scenario.Default())
				s.Name, s.Churn.Rate, s.Duration = name, 5, seconds(10)
				change(&s)
				r := run(t, s, measure.Options{})
				if err := r.Err(); err != nil {
					t.Errorf("%v; totals %+v", err, r.Totals)
				}
			})
		})
	}
}

// TestFigures are known in virtual time, where only HNS takes any: four writes of 8 ms for each change.
func TestFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := small(scenario.Default())
		s.Churn.Rate = 10
		r := run(t, s, measure.Options{})
		totals := r.Totals
		if totals.Changes != 200 || totals.HNSWrites != 800 || totals.NeededWrites != 800 {
			t.Errorf("%d changes, %d writes, %d needed; want 200, 800, 800", totals.Changes, totals.HNSWrites, totals.NeededWrites)
		}
		if totals.HNSRate < 31.2 || totals.HNSRate > 31.3 {
			t.Errorf("HNS allows %v changes a second, want 31.25", totals.HNSRate)
		}
		// Endpoint, delete and create of the load balancer come before it serves; the endpoint's own latency of a read may too.
		if l := totals.Latency; l.P50Millis < 24 || l.P99Millis > 40 {
			t.Errorf("latency %+v, want 24 ms and little more", l)
		}
		if totals.BusyShare < 0.31 || totals.BusyShare > 0.33 {
			t.Errorf("HNS was busy for %v of the time, want 0.32", totals.BusyShare)
		}
		if len(r.Series) < 20 || len(r.Series) > 21 {
			t.Errorf("%d entries in the series of 20 s", len(r.Series))
		}
		if r.Totals.Dark.Times != 200 {
			t.Errorf("frontends were dark %d times, want once for each change, since this HNS does not modify", r.Totals.Dark.Times)
		}
	})
}

// TestOverload: the clock of a change starts when it was meant to be written, and a run may be ended when too many wait.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := small(scenario.Default())
		s.Cluster.Services = 2000 // so that no two changes merge
		s.Churn.Rate, s.Duration = 62.5, seconds(10)
		r := run(t, s, measure.Options{})
		// Twice of what HNS can take. Three of four writes put a change into force, so the last does so after 15 s, 5 s late; the
		// endpoints that nobody uses any more are deleted until 20 s have passed.
		if l := r.Totals.Latency; l.MaxMillis < 4900 || r.Totals.Seconds < 19 || r.Totals.TailSeconds < 9 {
			t.Errorf("latency %+v after %v s, want 5 s at most after 20 s", l, r.Totals.Seconds)
		}
		if r.Totals.Efficiency < 0.9 || r.Totals.Efficiency > 1.01 {
			t.Errorf("efficiency %v, want nearly 1", r.Totals.Efficiency)
		}
		r = run(t, s, measure.Options{Limits: measure.Limits{MaxBacklog: 50}})
		if !r.Run.Overloaded || r.Totals.Seconds > 3 {
			t.Errorf("overloaded %t after %v s, want true after less than 2 s", r.Run.Overloaded, r.Totals.Seconds)
		}
	})
}
