// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// TestReservation: the cluster IP of cluster DNS is nobody's external IP for a minute after
// its Service was deleted; that of another Service is free at once.
func TestReservation(t *testing.T) {
	const held, free = "CreateLoadBalancer 10.96.0.10:53/TCP", "CreateLoadBalancer 10.96.0.10:80/TCP"
	grab := func(port uint16) services.Input {
		in := service("grab", "10.96.0.7", "10.244.2.7")
		in.Service.ExternalIPs = []netip.Addr{addr("10.96.0.10")}
		in.Service.Ports[0].Port = port
		return in
	}
	for _, tc := range []struct {
		name  string
		owner services.Input
		port  uint16
		call  string
		wait  time.Duration
	}{
		{"cluster DNS", dns("10.244.2.9"), 53, held, reservationTime},
		{"another Service", service("a", "10.96.0.10", "10.244.2.9"), 80, free, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := atRest(t, tc.owner, grab(tc.port))
			if b.ready(); len(b.lbs) != 2 {
				t.Fatalf("HNS has %v", b.lbs)
			}
			b.SetServices([]services.Input{without(tc.owner)})
			deleted := b.clock
			if tc.wait > 0 {
				b.run(tc.wait - 1)
				if got := b.status("grab"); len(b.lbs) != 1 || got.State != Blocked || got.Note.Reason != desired.Conflict {
					t.Fatalf("HNS has %v; %s: %v", b.lbs, got.State, got.Note)
				}
			}
			b.clear()
			b.clock = deleted.Add(tc.wait)
			c := b.begun(tc.call)
			if target(c).Frontend.Service.Name != "grab" || b.clock.Sub(deleted) != tc.wait {
				t.Errorf("%s has it after %s", target(c).Frontend.Service, b.clock.Sub(deleted))
			}
		})
	}
}

// TestReservationEnds: a Service that is back has its cluster IP at once and for good.
func TestReservationEnds(t *testing.T) {
	in := dns("10.244.2.9")
	b := atRest(t, in)
	b.SetServices([]services.Input{without(in)})
	b.run(30 * time.Second)
	if len(b.lbs) != 0 {
		t.Fatalf("the load balancer of a Service that is gone stays: %v", b.lbs)
	}
	b.SetServices([]services.Input{in})
	r := b.ready()
	wantCalls(t, r.Calls, "CreateEndpoint 10.244.2.9")
	b.answer(r)
	b.run(time.Second)
	b.clear()
	if b.run(time.Hour); len(b.log) > 0 || len(b.lbs) != 1 {
		t.Errorf("calls %v, HNS has %v", b.log, b.lbs)
	}
}
