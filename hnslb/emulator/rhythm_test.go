// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

func TestFailEvery(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	pods := []hnslb.ID{n.local("10.244.1.5")}
	n.FailEvery(3)
	var failed []uint16
	for port := range uint16(12) {
		if _, err := n.CreateLoadBalancer(t.Context(), balancerOf(pods, external(port+1))); err != nil {
			wantCode(t, err, hnslb.ResultCallFailed)
			failed = append(failed, port+1)
		}
	}
	if diff := cmp.Diff([]uint16{3, 6, 9, 12}, failed); diff != "" {
		t.Errorf("ports that failed (-want +got):\n%s", diff)
	}
	// 8 that succeeded, and the second and fourth failure, whose answer was lost.
	if got := len(n.State().LoadBalancers); got != 10 {
		t.Errorf("%d load balancers, want 10", got)
	}
	n.FailEvery(1, hnslb.VerbEndpoints)
	_, err := n.Endpoints(t.Context())
	wantCode(t, err, hnslb.ResultCallFailed)
	n.FailEvery(0, hnslb.VerbEndpoints)
	_, err = n.Endpoints(t.Context())
	n.must(err)
}

// TestLoseEvery: what fails is done all the same.
func TestLoseEvery(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	pods := []hnslb.ID{n.local("10.244.1.5")}
	n.LoseEvery(3)
	failed := 0
	for port := range uint16(12) {
		if _, err := n.CreateLoadBalancer(t.Context(), balancerOf(pods, external(port+1))); err != nil {
			wantCode(t, err, hnslb.ResultCallFailed)
			failed++
		}
	}
	if made := len(n.State().LoadBalancers); failed != 4 || made != 12 {
		t.Errorf("%d of 12 calls failed, and %d load balancers were made, want 4 and 12", failed, made)
	}
	n.LoseEvery(0)
	n.balance(pods, external(13))
	n.balance(pods, external(14))
	n.balance(pods, external(15))
}

// TestDelayEvery: every second delete is late, for those who wait as for those who gave up,
// and holds up nobody else; a stop of HNS ends it.
func TestDelayEvery(t *testing.T) {
	const by = 30 * time.Second
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, profiles.WS2022(), "L2Bridge")
		var remotes []hnslb.ID
		for _, ip := range []string{"10.244.2.1", "10.244.2.2", "10.244.2.3", "10.244.2.4", "10.244.2.5", "10.244.2.6"} {
			remotes = append(remotes, n.remote(ip))
		}
		held := func(want int) {
			t.Helper()
			if got := len(n.State().Endpoints); got != want {
				t.Errorf("HNS holds %d endpoints, want %d", got, want)
			}
		}
		n.DelayEvery(2, by, hnslb.VerbDeleteEndpoint)
		ended := make(chan error, 2)
		remove := func(ctx context.Context, id hnslb.ID) {
			go func() { ended <- n.DeleteEndpoint(ctx, id) }()
			synctest.Wait()
		}
		begun := time.Now()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n.must(n.DeleteEndpoint(t.Context(), remotes[0]))
		remove(t.Context(), remotes[1])
		n.must(n.DeleteEndpoint(t.Context(), remotes[2]))
		remove(impatient, remotes[3])
		if err := <-ended; hnslb.ErrorClass(err) != hnslb.Timeout || time.Since(begun) != time.Second {
			t.Errorf("the one that gave up: %v after %v", err, time.Since(begun))
		}
		held(4)
		n.must(<-ended)
		synctest.Wait()
		if took := time.Since(begun); took != by {
			t.Errorf("a late delete took %v, want %v", took, by)
		}
		held(2)
		want := []emulator.DelayedCall{
			{Verb: hnslb.VerbDeleteEndpoint, Object: "10.244.2.2", Begun: begun, By: by},
			{Verb: hnslb.VerbDeleteEndpoint, Object: "10.244.2.4", Begun: begun, By: by},
		}
		if diff := cmp.Diff(want, n.Delayed()); diff != "" {
			t.Errorf("late calls (-want +got):\n%s", diff)
		}

		n.must(n.DeleteEndpoint(t.Context(), remotes[4]))
		remove(t.Context(), remotes[5])
		n.Restart(emulator.RestartOptions{})
		wantCode(t, <-ended, hnslb.ResultCallFailed)
		held(1)
	})
}
