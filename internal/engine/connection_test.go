// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/plan"
)

// TestHNSFound: HNS is told of once, its network whenever it is another one.
func TestHNSFound(t *testing.T) {
	b := newBench(t)
	b.run(0)
	features := hnslb.FeaturesOf(b.version)
	if diff := cmp.Diff([]HNSFound{{features}}, only[HNSFound](b.transitions)); diff != "" {
		t.Errorf("HNS (-want +got):\n%s", diff)
	}
	if got := only[NetworkFound](b.transitions); len(got) != 1 || got[0].Network.ID != "n" {
		t.Errorf("network: %v", got)
	}
	b.SetServices(several(1))
	b.run(time.Minute)
	b.clear()
	b.CheckNetwork()
	b.run(time.Minute)
	if len(only[HNSFound](b.transitions))+len(only[NetworkFound](b.transitions))+len(b.lists)+len(b.log) > 0 {
		t.Errorf("the same network: told %v, lists %v, calls %v", b.transitions, b.lists, b.log)
	}
	b.network.ID, b.eps, b.lbs = "m", nil, nil
	b.CheckNetwork()
	b.answer(b.ready())
	r := b.ready()
	if got := only[NetworkFound](b.transitions); !r.Recompute || len(got) != 1 || got[0].Network.ID != "m" || len(r.Calls) > 0 {
		t.Fatalf("another network: recompute %v, told %v, calls %v", r.Recompute, got, callTexts(r.Calls))
	}
	b.SetServices(several(1))
	r = b.ready()
	wantList(t, r, &ListRequest{})
	wantCalls(t, r.Calls)
	b.answer(r)
	if c := b.one(b.ready(), "CreateEndpoint 10.244.2.1"); c.Step.(plan.CreateEndpoint).Endpoint.Network != "m" {
		t.Errorf("the endpoint is on another network: %v", c.Step)
	}
}

// TestHNSLost: HNS that is away is asked again after growing pauses, up to maxConnectionRetry, and
// that is told once a minute. Nothing is written until it was listed again.
func TestHNSLost(t *testing.T) {
	b := atRest(t)
	b.CheckNetwork()
	r := b.ready()
	lost := b.clock
	b.SetServices(several(1))
	var pauses []time.Duration
	for b.clock.Sub(lost) < 150*time.Second {
		if !r.Network {
			t.Fatalf("not asked again after %v", pauses)
		}
		b.NetworkRead(hnslb.Features{}, hnslb.Network{}, refused(hnslb.Unavailable))
		before := b.clock
		for r = b.ready(); !r.Network; r = b.after(r.Wake.Sub(b.clock)) {
			if r.List != nil || len(r.Calls) > 0 {
				t.Fatalf("while HNS is away: list %v, calls %v", r.List, callTexts(r.Calls))
			}
		}
		pauses = append(pauses, b.clock.Sub(before))
	}
	if pauses[0] > time.Second || pauses[4] < 4*pauses[0] || pauses[len(pauses)-1] != maxConnectionRetry {
		t.Errorf("pauses %v, want growing ones up to %s", pauses, maxConnectionRetry)
	}
	told := only[HNSLost](b.transitions)
	if len(told) != 3 {
		t.Errorf("told %d times in 150 s, want 3", len(told))
	}
	for _, x := range told {
		if x.Since != lost {
			t.Errorf("away since %s, want %s", x.Since, lost)
		}
	}
	if since, why := b.Lag(); since != lost || why != told[0].Err.Error() {
		t.Errorf("behind since %s: %s", since, why)
	}
	b.answer(r)
	r = b.ready()
	wantList(t, r, &ListRequest{})
	wantCalls(t, r.Calls)
	b.answer(r)
	wantCalls(t, b.ready().Calls, "CreateEndpoint 10.244.2.1")
}

// TestListOfTheTimeBefore: a list that was begun before HNS came back is no use.
func TestListOfTheTimeBefore(t *testing.T) {
	b := atRest(t, several(1)...)
	b.ServiceChanged()
	r := b.ready()
	old := r.List
	b.NetworkRead(hnslb.Features{}, hnslb.Network{}, refused(hnslb.Unavailable))
	r = b.ready()
	for !r.Network {
		r = b.after(r.Wake.Sub(b.clock))
	}
	b.answer(r)
	r = b.ready()
	wantList(t, r, &ListRequest{})
	b.list(old)
	b.clear()
	if more := b.ready(); more.List != nil || b.Converged() {
		t.Error("the old list was taken for the new one")
	}
}

// TestNetworkQuestionHangs: an answer that does not come counts as none, and the network is
// asked for again after a minute only, since each question holds a thread.
func TestNetworkQuestionHangs(t *testing.T) {
	b := atRest(t)
	b.CheckNetwork()
	b.ready()
	if r := b.after(b.cfg.CallTimeout - 1); r.Wake.Sub(b.clock) != 1 || len(only[HNSLost](b.transitions)) > 0 {
		t.Fatalf("too soon: wakes up after %s, told %v", r.Wake.Sub(b.clock), b.transitions)
	}
	b.after(1)
	if told := only[HNSLost](b.transitions); len(told) != 1 || hnslb.ErrorClass(told[0].Err) != hnslb.Timeout {
		t.Fatalf("told: %v", told)
	}
	if r := b.after(reportInterval - 1); r.Network {
		t.Error("asked again too soon")
	}
	if r := b.after(1); !r.Network {
		t.Error("not asked again")
	}
}

// TestRecheck: what fails as if HNS or the network were gone asks for the network, at most once
// in recheckPause.
func TestRecheck(t *testing.T) {
	for _, tc := range []struct {
		class hnslb.Class
		ask   bool
	}{{hnslb.Unavailable, true}, {hnslb.NotFound, true}, {hnslb.PortInUse, false}, {hnslb.Other, false}} {
		t.Run(string(tc.class), func(t *testing.T) {
			b := atRest(t)
			b.CheckNetwork()
			b.answer(b.ready())
			b.SetServices(several(1))
			b.fail(b.one(b.ready(), "CreateEndpoint 10.244.2.1"), refused(tc.class))
			if r := b.after(recheckPause - 1); r.Network {
				t.Error("asked twice in a second")
			}
			if r := b.after(1); r.Network != tc.ask {
				t.Errorf("asks for the network: %v, want %v", r.Network, tc.ask)
			}
		})
	}
}
