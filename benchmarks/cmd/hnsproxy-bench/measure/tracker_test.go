// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/load"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

func key() hnslb.FrontendKey {
	return hnslb.FrontendKey{Family: hnslb.IPv4, VIP: netip.MustParseAddr("10.96.0.1"), Protocol: hnslb.TCP, Port: 80}
}

// addresses makes 10.1.0.x of each byte of a text.
func addresses(text string) []netip.Addr {
	var all []netip.Addr
	for _, b := range []byte(text) {
		all = append(all, netip.AddrFrom4([4]byte{10, 1, 0, b}))
	}
	return all
}

func wants(text string) []load.Want { return []load.Want{{Frontend: key(), Backends: addresses(text)}} }

// TestTracker plays a story: "+ab" means that backends a and b come to be wanted, "=ab" that HNS sends to them; a second passes
// before each step. A change is meant to be written half a second before it is.
func TestTracker(t *testing.T) {
	for name, c := range map[string]struct {
		steps             []string
		took              []float64 // seconds, shortest first
		backlog, disorder int
	}{
		"in force":                       {steps: []string{"+ac", "=ac"}, took: []float64{1.5}},
		"another order":                  {steps: []string{"+ac", "=ca"}, took: []float64{1.5}},
		"one too many":                   {steps: []string{"+ac", "=abc"}, backlog: 1},
		"one too few":                    {steps: []string{"+ac", "=c"}, backlog: 1},
		"replaced load balancer":         {steps: []string{"+ac", "=", "=ac"}, took: []float64{2.5}},
		"one after the other":            {steps: []string{"+ac", "+ad", "=ac", "=ad"}, took: []float64{2.5, 2.5}},
		"overtaken":                      {steps: []string{"+ac", "+ad", "=ad"}, took: []float64{1.5, 2.5}},
		"out of order":                   {steps: []string{"+ac", "+ad", "=ad", "=ac"}, took: []float64{1.5, 2.5}, disorder: 1},
		"back to the beginning":          {steps: []string{"+ac", "=ac", "=ab"}, took: []float64{1.5}, disorder: 1},
		"there and back":                 {steps: []string{"+ac", "=ac", "+ab", "=ab"}, took: []float64{1.5, 1.5}},
		"there and back at once":         {steps: []string{"+ac", "+ab"}, took: []float64{0.5, 1.5}},
		"there and back, on its way":     {steps: []string{"+ac", "+ab", "=ac", "=ab"}, took: []float64{2.5, 2.5}},
		"emptied":                        {steps: []string{"+", "="}, took: []float64{1.5}},
		"emptied and filled":             {steps: []string{"+", "=", "+cd", "=cd"}, took: []float64{1.5, 1.5}},
		"emptied, replaced before":       {steps: []string{"+ac", "+", "=", "=ac", "="}, took: []float64{3.5, 3.5}},
		"emptied, not heard of in order": {steps: []string{"+", "+cd", "=cd"}, took: []float64{1.5, 2.5}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tracker := NewTracker()
				tracker.Begin(wants("ab"), true)
				for _, step := range c.steps {
					<-time.After(time.Second)
					if step[0] == '+' {
						tracker.Expect(wants(step[1:]), time.Now().Add(-time.Second/2))
					} else {
						tracker.Hear(emulator.Serving{Frontend: key(), Backends: addresses(step[1:])})
					}
				}
				tracker.Quiet()
				counts := tracker.Take()
				if counts.Backlog != c.backlog || counts.Applied != len(c.took) || counts.Latency.Count() != len(c.took) {
					t.Fatalf("counts %+v, want backlog %d and %d applied", counts, c.backlog, len(c.took))
				}
				for i, took := range c.took {
					got := counts.Latency.Millis(100 * (float64(i) + 0.5) / float64(len(c.took)))
					if got < took*999 || got > took*1001 {
						t.Errorf("latency %d is %v ms, want %v s", i, got, took)
					}
				}
				if got := tracker.Violations(emulator.State{}, netip.Addr{}).OutOfOrder; got != c.disorder {
					t.Errorf("%d times out of order, want %d", got, c.disorder)
				}
			})
		})
	}
}

func TestNoise(t *testing.T) {
	tracker := NewTracker()
	tracker.Expect(nil, time.Now())
	if c := tracker.Take(); c.Offered != 1 || c.Applied != 1 || c.Backlog != 0 || c.Latency.Count() != 0 {
		t.Errorf("a change that concerns no proxy: %+v", c)
	}
}

// TestTwoFrontends: a change is in force when it is in all its frontends.
func TestTwoFrontends(t *testing.T) {
	other := key()
	other.Port = 81
	both := func(text string) []load.Want {
		return []load.Want{{Frontend: key(), Backends: addresses(text)}, {Frontend: other, Backends: addresses(text)}}
	}
	tracker := NewTracker()
	tracker.Begin(both("ab"), false)
	if tracker.Missing() != 2 {
		t.Errorf("%d missing at the beginning, want 2", tracker.Missing())
	}
	for _, text := range []string{"ab", "ac"} {
		if text == "ac" {
			tracker.Expect(both(text), time.Now())
		}
		tracker.Hear(emulator.Serving{Frontend: key(), Backends: addresses(text)})
		if tracker.Missing() != 1 {
			t.Errorf("%d missing after one frontend, want 1", tracker.Missing())
		}
		if c := tracker.Take(); c.Applied > 0 {
			t.Errorf("in force after one of two frontends: %+v", c)
		}
		tracker.Hear(emulator.Serving{Frontend: other, Backends: addresses(text)})
	}
	if c := tracker.Take(); c.Applied != 1 || c.Backlog != 0 || tracker.Missing() != 0 {
		t.Errorf("not in force after both: %+v, %d missing", c, tracker.Missing())
	}
}

func TestViolations(t *testing.T) {
	tracker := NewTracker()
	tracker.Begin(wants("ab"), true)
	endpoint := func(ip netip.Addr, remote bool) emulator.EndpointState {
		return emulator.EndpointState{Endpoint: hnslb.Endpoint{IPs: []netip.Addr{ip}, Remote: remote}}
	}
	balancer := func(port uint16) emulator.LoadBalancerState {
		return emulator.LoadBalancerState{LoadBalancer: hnslb.LoadBalancer{
			VIPs: []netip.Addr{key().VIP}, Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, ExternalPort: port}},
		}}
	}
	sourceVIP := addresses("v")[0]
	state := emulator.State{
		Endpoints: []emulator.EndpointState{
			endpoint(addresses("a")[0], true), endpoint(key().VIP, true), endpoint(sourceVIP, true), endpoint(addresses("l")[0], false),
		},
		LoadBalancers: []emulator.LoadBalancerState{balancer(80)},
	}
	check := func(what string, want result.Violations) {
		t.Helper()
		if diff := cmp.Diff(want, tracker.Violations(state, sourceVIP)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("all as wanted", result.Violations{})
	tracker.Expect(wants("ac"), time.Now())
	check("an endpoint too many, and a change missed", result.Violations{Missed: 1, Stale: 1})
	tracker.Hear(emulator.Serving{Frontend: key(), Backends: addresses("ac")})
	check("the change in force", result.Violations{})
	tracker.Hear(emulator.Serving{Frontend: key(), Backends: addresses("a")})
	check("lost again", result.Violations{Missed: 1})
	state.Endpoints = append(state.Endpoints, endpoint(addresses("b")[0], true))
	state.LoadBalancers = append(state.LoadBalancers, balancer(81))
	check("left over", result.Violations{Missed: 1, LeakedEndpoints: 1, LeakedLoadBalancers: 1})
}
