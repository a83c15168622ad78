// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// TestListsForALocalEndpoint: while a local endpoint is missing it is looked for, soon at first
// and then less often, and no more when it is there or nobody waits for it.
func TestListsForALocalEndpoint(t *testing.T) {
	in := service("a", "10.96.0.1", "10.244.1.1/pod")
	for _, tc := range []struct {
		name string
		end  func(*bench)
		// looks is how many lists of endpoints may follow, calls what is written.
		looks int
		calls []string
	}{
		{"it comes", func(b *bench) { b.eps = append(b.eps, local("10.244.1.1")) }, 1, []string{"CreateLoadBalancer 10.96.0.1:80/TCP"}},
		{"the Service goes", func(b *bench) { b.SetServices([]services.Input{without(in)}) }, 0, nil},
		{"the pod goes", func(b *bench) { b.SetServices([]services.Input{service("a", "10.96.0.1")}) }, 0, nil},
		{"a remote pod takes its place", func(b *bench) { b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1")}) }, 0,
			[]string{"CreateEndpoint 10.244.2.1", "CreateLoadBalancer 10.96.0.1:80/TCP"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := atRest(t)
			b.SetServices([]services.Input{in})
			begin := b.clock
			var at []time.Duration
			for b.clock.Sub(begin) < time.Minute {
				r := b.ready()
				if r.List != nil {
					at = append(at, b.clock.Sub(begin))
				}
				if b.answer(r); r.List == nil {
					b.clock = r.Wake
				}
			}
			ms := time.Millisecond
			want := []time.Duration{0, 250 * ms, 750 * ms, 1750 * ms, 3750 * ms, 7750 * ms, 15750 * ms, 25750 * ms, 35750 * ms, 45750 * ms, 55750 * ms}
			if diff := cmp.Diff(want, at); diff != "" {
				t.Fatalf("lists after (-want +got):\n%s", diff)
			}
			b.answer(b.ready())
			b.ready()
			b.clear()
			tc.end(b)
			b.run(time.Hour)
			if len(b.lists) > tc.looks || !slices.Equal(b.log, tc.calls) {
				t.Errorf("lists %v, want up to %d; calls %v, want %v", b.lists, tc.looks, b.log, tc.calls)
			}
		})
	}
}

// TestListIntervalFromTheEnd: where lists take long, HNS rests as long between two of them as
// if they took no time, and the others are written meanwhile.
func TestListIntervalFromTheEnd(t *testing.T) {
	const takes = 5 * time.Second
	b := atRest(t)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.1.1/pod")})
	var rests []time.Duration
	ended := b.clock
	for i := range 8 {
		r := b.ready()
		for range 100 {
			if r.List != nil {
				break
			}
			b.answer(r)
			r = b.after(max(r.Wake.Sub(b.clock), time.Millisecond))
		}
		wantList(t, r, &ListRequest{EndpointsOnly: true})
		rests = append(rests, b.clock.Sub(ended))
		b.SetServices([]services.Input{service("b", fmt.Sprintf("10.96.1.%d", i), "10.244.2.1")})
		before := len(b.log)
		for range 10 {
			b.answer(Ready{Calls: b.ready().Calls})
		}
		if len(b.log) == before {
			t.Errorf("list %d: a change waits for it", i)
		}
		b.after(takes)
		b.list(r.List)
		ended = b.clock
	}
	s := time.Second
	if diff := cmp.Diff([]time.Duration{0, takes, takes, takes, takes, takes, 8 * s, 10 * s}, rests); diff != "" {
		t.Errorf("rests between lists (-want +got):\n%s", diff)
	}
}

// TestPodFollowsAnother: a pod that follows another one on one address has another endpoint, so
// that HNS is listed before its frontend is written.
func TestPodFollowsAnother(t *testing.T) {
	for _, tc := range []struct {
		name, next string
		look       *ListRequest
	}{
		{"the same pod", "10.244.1.1/one", nil},
		{"another pod", "10.244.1.1/two", &ListRequest{EndpointsOnly: true}},
		{"a pod elsewhere", "10.244.1.1", &ListRequest{EndpointsOnly: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			b.eps = append(b.eps, local("10.244.1.1"))
			b.run(0)
			b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.1.1/one")})
			b.run(10 * time.Second)
			b.SetServices([]services.Input{service("a", "10.96.0.1", tc.next)})
			r := b.ready()
			wantList(t, r, tc.look)
			wantCalls(t, r.Calls)
		})
	}
}

// TestFrontendsWithoutTheNewPodGoOn: only those who name a new local pod wait for the list.
func TestFrontendsWithoutTheNewPodGoOn(t *testing.T) {
	b := atRest(t)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.1.1/pod"), service("b", "10.96.0.2", "10.244.2.1")})
	r := b.ready()
	wantList(t, r, &ListRequest{EndpointsOnly: true})
	wantCalls(t, r.Calls, "CreateEndpoint 10.244.2.1")
}
