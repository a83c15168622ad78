// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/observed"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

func TestReservationAfterAnIdleHour(t *testing.T) {
	in := dns("10.244.2.9")
	b := atRest(t, in)
	b.clock = b.clock.Add(time.Hour) // as in Run: SetServices comes before Ready
	b.Advance(b.clock)
	b.SetServices([]services.Input{without(in)})
	b.ready()
	if len(b.reserved) != 1 {
		t.Error("the reservation ended as it began")
	}
}

func TestLagAfterAnIdleHour(t *testing.T) {
	b := atRest(t)
	b.clock = b.clock.Add(time.Hour)
	b.Advance(b.clock)
	b.SetServices(several(5))
	b.ready()
	if since, _ := b.Lag(); since.Before(b.clock) {
		t.Errorf("a Service that came now is behind for %s", b.clock.Sub(since))
	}
}

func TestPauseAfterALongList(t *testing.T) {
	b := atRest(t)
	b.ServiceChanged()
	r := b.ready()
	b.NetworkRead(hnslb.FeaturesOf(b.version), b.network, nil)
	b.clock = b.clock.Add(5 * time.Second) // nothing happens meanwhile
	b.Advance(b.clock)
	b.list(r.List)
	b.ready()
	b.ServiceChanged()
	if r = b.after(time.Second); r.List != nil {
		t.Error("a list that took 5 s is followed by the next one after 1 s")
	}
}

func TestPauseAfterASlowFailure(t *testing.T) {
	b := newBench(t)
	b.ready()
	for i := range 12 {
		b.clock = b.clock.Add(9 * time.Second) // less than CallTimeout
		b.Advance(b.clock)
		b.NetworkRead(hnslb.Features{}, hnslb.Network{}, refused(hnslb.Unavailable))
		if r := b.ready(); r.Network {
			t.Fatalf("failure %d: asked again without a pause", i)
		}
		b.clock = b.clock.Add(maxConnectionRetry)
		b.Advance(b.clock)
		b.ready()
	}
}

func TestHalfShown(t *testing.T) {
	b := atRest(t)
	b.SetServices(several(1))
	c := b.begun("CreateLoadBalancer 10.96.0.1:80/TCP")
	result := b.apply(c)
	result.LoadBalancer.Mappings = nil
	b.clear()
	b.Done(result)
	wantCalls(t, b.ready().Calls)
	b.run(time.Hour)
	if len(b.log) > 0 || b.status("a").State != Programmed {
		t.Errorf("calls %v, a is %s", b.log, b.status("a").State)
	}
}

func TestDriftCountsTwice(t *testing.T) {
	b := atRest(t, several(1)...)
	b.eps, b.lbs = nil, nil
	b.Audit()
	b.run(time.Second)
	if diff := cmp.Diff([]Drifted{{Frontends: 1, Endpoints: 1}}, only[Drifted](b.transitions)); diff != "" {
		t.Errorf("drift (-want +got):\n%s", diff)
	}
}

func TestEndpointNotKept(t *testing.T) {
	b := atRest(t)
	b.SetServices(several(1))
	for range 50 {
		r := b.ready()
		for _, c := range r.Calls {
			b.Done(Result{Call: c.ID, Endpoint: hnslb.Endpoint{ID: "x", Network: "n"}})
		}
		if r.List != nil {
			b.Listed(r.List, observed.List{}, nil)
		}
	}
	if got := b.status("a"); got.State == Programmed || !slices.Contains(b.log, "CreateLoadBalancer 10.96.0.1:80/TCP") && b.backoff.Err(frontendTask(key(80))) == nil && b.ready().Wake.Sub(b.clock) > time.Minute {
		t.Errorf("calls %v; HNS has no load balancer, a is %s, next at %s", b.log, got.State, b.ready().Wake.Sub(b.clock))
	}
}
