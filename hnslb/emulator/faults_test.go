// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

func TestFaultDeleteFailsOnce(t *testing.T) {
	n := newNode(t, profiles.WS2019(), "L2Bridge")
	lb := n.balance([]hnslb.ID{n.local("10.244.1.5")})
	n.SetFaults(profiles.Faults{DeleteFailsOnce: true})
	had := n.Dump()
	if err := n.DeleteLoadBalancer(t.Context(), lb.ID); hnslb.ErrorClass(err) != hnslb.Other {
		t.Errorf("first delete: %v, want a failure of class other", err)
	}
	if n.Dump() != had {
		t.Error("the failed delete changed something")
	}
	n.must(n.DeleteLoadBalancer(t.Context(), lb.ID))
}

func TestFaultEndpointDeleteLies(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	remote, pod := n.remote("10.244.2.7"), n.local("10.244.1.5")
	n.SetFaults(profiles.Faults{EndpointDeleteLies: true})
	had := n.Dump()
	n.must(n.DeleteEndpoint(t.Context(), remote))
	if n.Dump() != had {
		t.Error("the remote endpoint is gone")
	}
	n.must(n.DeleteEndpoint(t.Context(), pod)) // local ones are not concerned
	if n.Dump() == had {
		t.Error("the local endpoint stayed")
	}
}

func TestFaultLeakPorts(t *testing.T) {
	n := newNode(t, profiles.WS2019(), "L2Bridge")
	pods := []hnslb.ID{n.local("10.244.1.5")}
	lb := n.balance(pods, nodePort, external(31999))
	n.SetFaults(profiles.Faults{LeakPorts: true})
	n.must(n.DeleteLoadBalancer(t.Context(), lb.ID))
	n.SetFaults(profiles.Faults{})
	_, err := n.CreateLoadBalancer(t.Context(), balancerOf(pods, nodePort, external(31999)))
	wantCode(t, err, hnslb.ResultPortAlreadyExists)
	n.balance(pods, nodePort, external(31998))
	n.ReleaseLeakedPorts()
	n.balance(pods, nodePort, external(31999))
}

func TestFaultHalfMade(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	pod := n.local("10.244.1.5")
	n.SetFaults(profiles.Faults{HalfMade: true})
	n.FailNext(hnslb.VerbCreateLoadBalancer, 1, hnslb.ResultSwitchPortNotFound)
	_, err := n.CreateLoadBalancer(t.Context(), balancerOf([]hnslb.ID{pod}))
	wantCode(t, err, hnslb.ResultSwitchPortNotFound)
	lbs, err := n.LoadBalancers(t.Context())
	n.must(err)
	if len(lbs) != 1 || len(lbs[0].Mappings) != 0 || lbs[0].ID == "" {
		t.Fatalf("load balancers are %+v, want one without mappings", lbs)
	}
	n.balance([]hnslb.ID{pod}) // the half-made one holds no frontend
	n.must(n.DeleteLoadBalancer(t.Context(), lbs[0].ID))

	n.LoseAnswers(hnslb.VerbCreateLoadBalancer, 1)
	_, err = n.CreateLoadBalancer(t.Context(), balancerOf([]hnslb.ID{pod}, external(81)))
	wantCode(t, err, hnslb.ResultCallFailed)
	for _, lb := range n.State().LoadBalancers {
		if len(lb.Mappings) == 0 {
			t.Error("a create that was carried out left a half-made twin")
		}
	}
}

// TestHalfMadeHolds: what a failed create leaves behind may hold the frontend until it goes.
func TestHalfMadeHolds(t *testing.T) {
	profile := profiles.WS2022()
	profile.Quirks.HalfMadeHolds = true
	n := newNode(t, profile, "L2Bridge")
	pod := n.local("10.244.1.5")
	n.SetFaults(profiles.Faults{HalfMade: true})
	n.FailNext(hnslb.VerbCreateLoadBalancer, 1, hnslb.ResultSwitchPortNotFound)
	_, err := n.CreateLoadBalancer(t.Context(), balancerOf([]hnslb.ID{pod}))
	wantCode(t, err, hnslb.ResultSwitchPortNotFound)
	n.SetFaults(profiles.Faults{})
	_, err = n.CreateLoadBalancer(t.Context(), balancerOf([]hnslb.ID{pod}))
	wantCode(t, err, hnslb.ResultPortAlreadyExists)
	n.balance([]hnslb.ID{pod}, external(81)) // another frontend is free
	lbs, err := n.LoadBalancers(t.Context())
	n.must(err)
	n.must(n.DeleteLoadBalancer(t.Context(), lbs[0].ID))
	n.balance([]hnslb.ID{pod})
}

func TestFaultVanishDuringList(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	first, second := n.remote("10.244.2.7"), n.remote("10.244.2.8")
	n.SetFaults(profiles.Faults{VanishDuringList: 1})
	eps, err := n.Endpoints(t.Context())
	n.must(err)
	if len(eps) != 1 || eps[0].ID != second {
		t.Errorf("the list is %v, want %s only", eps, second)
	}
	wantCode(t, n.DeleteEndpoint(t.Context(), first), hnslb.ResultElementNotFound)
	if left := n.Faults().VanishDuringList; left != 0 {
		t.Errorf("%d more objects will vanish, want 0", left)
	}
}

func TestFaultModifyLies(t *testing.T) {
	n := newNode(t, profiles.WS2025(), "L2Bridge")
	a, b := n.local("10.244.1.5"), n.local("10.244.1.6")
	lb := n.balance([]hnslb.ID{a})
	n.SetFaults(profiles.Faults{ModifyLies: true})
	lb.Endpoints = []hnslb.ID{b}
	got, err := n.UpdateLoadBalancer(t.Context(), lb)
	n.must(err)
	if got.Endpoints[0] != a {
		t.Errorf("endpoints are %v, want %v as before", got.Endpoints, a)
	}
}

func TestFailNext(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	n.FailNext(hnslb.VerbEndpoints, 2, hnslb.ResultManagerStopped)
	n.FailNext(hnslb.VerbEndpoints, 1, hnslb.ResultCallFailed)
	for _, want := range []hnslb.HRESULT{
		hnslb.ResultManagerStopped, hnslb.ResultManagerStopped, hnslb.ResultCallFailed, 0,
	} {
		_, err := n.Endpoints(t.Context())
		wantCode(t, err, want)
	}
	if _, err := n.LoadBalancers(t.Context()); err != nil {
		t.Errorf("another verb failed: %v", err)
	}
}

func TestLoseAnswers(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	pod := n.local("10.244.1.5")
	n.LoseAnswers(hnslb.VerbCreateLoadBalancer, 1)
	_, err := n.CreateLoadBalancer(t.Context(), balancerOf([]hnslb.ID{pod}))
	wantCode(t, err, hnslb.ResultCallFailed)
	if !hnslb.OutcomeUnknown(err) {
		t.Errorf("class of %v is not one of unknown outcome", err)
	}
	_, err = n.CreateLoadBalancer(t.Context(), balancerOf([]hnslb.ID{pod}))
	wantCode(t, err, hnslb.ResultPortAlreadyExists) // it was made
}

func TestFailEach(t *testing.T) {
	outcome := func(seed uint64) (failed, made int) {
		n := nodeOf(t, emulator.Config{Seed: seed}, spec("L2Bridge"))
		pod := n.local("10.244.1.5")
		n.FailEach(0.3)
		for port := range uint16(200) {
			if _, err := n.CreateLoadBalancer(t.Context(), balancerOf([]hnslb.ID{pod}, external(port+1))); err != nil {
				failed++
			}
		}
		lbs, err := n.LoadBalancers(t.Context()) // reads are not concerned
		n.must(err)
		return failed, len(lbs)
	}
	failed, made := outcome(1)
	if failed < 30 || failed > 90 {
		t.Errorf("%d of 200 calls failed, want about 60", failed)
	}
	if succeeded := 200 - failed; made <= succeeded {
		t.Errorf("%d load balancers, %d calls succeeded: no failed call was carried out", made, succeeded)
	}
	if f, m := outcome(1); f != failed || m != made {
		t.Errorf("the same seed gave %d failures and %d objects, before %d and %d", f, m, failed, made)
	}
	if f, _ := outcome(2); f == failed {
		t.Logf("another seed happened to give %d failures too", f)
	}
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	n.FailEach(1, hnslb.VerbEndpoints)
	if _, err := n.Endpoints(t.Context()); err == nil {
		t.Error("a read that was named did not fail")
	}
	n.ClearFaults()
	_, err := n.Endpoints(t.Context())
	n.must(err)
}

func TestHang(t *testing.T) {
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			profile := profiles.WS2022()
			profile.Quirks.AbandonedWritesLost = lost
			n := newNode(t, profile, "L2Bridge")
			pod := n.local("10.244.1.5")
			n.Hang(hnslb.VerbCreateLoadBalancer, 2)
			ctx, cancel := context.WithCancel(t.Context())
			type result struct {
				lb  hnslb.LoadBalancer
				err error
			}
			gaveUp, waited := make(chan result, 1), make(chan result, 1)
			start := func(ctx context.Context, port uint16, to chan result) {
				go func() {
					lb, err := n.CreateLoadBalancer(ctx, balancerOf([]hnslb.ID{pod}, external(port)))
					to <- result{lb, err}
				}()
			}
			start(ctx, 1, gaveUp)
			start(t.Context(), 2, waited)
			synctest.Wait()
			n.balance([]hnslb.ID{pod}, external(3)) // the third does not hang
			cancel()
			if r := <-gaveUp; hnslb.ErrorClass(r.err) != hnslb.Timeout || !errors.Is(r.err, context.Canceled) {
				t.Errorf("the call that gave up: %v, want Timeout", r.err)
			}
			synctest.Wait()
			if got := len(n.State().LoadBalancers); got != 1 {
				t.Errorf("%d load balancers while two calls hang, want 1", got)
			}
			n.ReleaseHung()
			if r := <-waited; r.err != nil {
				t.Errorf("the call that waited: %v", r.err)
			}
			want := 3
			if lost {
				want = 2
			}
			if got := len(n.State().LoadBalancers); got != want {
				t.Errorf("abandoned writes lost %v: %d load balancers, want %d", lost, got, want)
			}
		})
	}
}

// TestReleaseHungEndsTheFault: hanging one verb later does not bring the first back.
func TestReleaseHungEndsTheFault(t *testing.T) {
	n := newNode(t, profiles.WS2022(), "L2Bridge")
	n.Hang(hnslb.VerbEndpoints, -1)
	n.ReleaseHung()
	n.Hang(hnslb.VerbLoadBalancers, -1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := n.Endpoints(ctx)
	n.must(err)
	n.ReleaseHung()
	n.ReleaseHung() // twice is harmless
}

func TestStopEndsHungCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, profiles.WS2022(), "L2Bridge")
		n.Hang(hnslb.VerbEndpoints, -1)
		done := make(chan error, 1)
		go func() {
			_, err := n.Endpoints(t.Context())
			done <- err
		}()
		synctest.Wait()
		n.Stop()
		wantCode(t, <-done, hnslb.ResultCallFailed)
	})
}

func TestCounts(t *testing.T) {
	n := newNode(t, profiles.WS2025(), "L2Bridge")
	pod := n.local("10.244.1.5")
	remote := n.remote("10.244.2.7")
	lb := n.balance([]hnslb.ID{pod, remote})
	lb.Endpoints = []hnslb.ID{pod}
	_, err := n.UpdateLoadBalancer(t.Context(), lb)
	n.must(err)
	n.must(n.DeleteEndpoint(t.Context(), remote))
	_ = n.DeleteEndpoint(t.Context(), remote)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = n.Endpoints(cancelled) // never reaches HNS
	wantCounts(t, "Counts", n.Counts(), map[hnslb.Verb]int{
		hnslb.VerbCreateEndpoint: 1, hnslb.VerbCreateLoadBalancer: 1,
		hnslb.VerbUpdateLoadBalancer: 1, hnslb.VerbDeleteEndpoint: 2,
	})
	wantCounts(t, "Errors", n.Errors(), map[hnslb.Verb]int{
		hnslb.VerbDeleteEndpoint: 1, hnslb.VerbEndpoints: 1,
	})
	wantCounts(t, "HCNCalls", n.HCNCalls(), map[hnslb.Verb]int{
		hnslb.VerbCreateEndpoint: 5, hnslb.VerbCreateLoadBalancer: 3,
		hnslb.VerbUpdateLoadBalancer: 4, hnslb.VerbDeleteEndpoint: 2,
	})
	n.ResetCounts()
	wantCounts(t, "Counts after ResetCounts", n.Counts(), map[hnslb.Verb]int{})
}

func wantCounts(t *testing.T, what string, got, want map[hnslb.Verb]int) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestRefuse(t *testing.T) {
	n := newNode(t, profiles.WS2025(), "L2Bridge")
	pods := []hnslb.ID{n.local("10.244.1.5")}
	bad, good := balancerOf(pods, external(81)), balancerOf(pods, external(82))
	n.Refuse(bad.ObjectName(), hnslb.ResultPortAlreadyExists)
	n.Refuse("10.244.2.7", hnslb.ResultInvalidIP)
	for range 2 {
		_, err := n.CreateLoadBalancer(t.Context(), bad)
		wantCode(t, err, hnslb.ResultPortAlreadyExists)
		_, err = n.CreateEndpoint(t.Context(), n.remoteEndpoint("10.244.2.7"))
		wantCode(t, err, hnslb.ResultInvalidIP)
	}
	_, err := n.CreateLoadBalancer(t.Context(), good)
	n.must(err)
	n.Refuse(bad.ObjectName(), 0)
	made, err := n.CreateLoadBalancer(t.Context(), bad)
	n.must(err)
	n.remoteEndpointRefused(hnslb.ResultInvalidIP)
	n.Refuse(bad.ObjectName(), hnslb.ResultPortAlreadyExists)
	_, err = n.UpdateLoadBalancer(t.Context(), made)
	wantCode(t, err, hnslb.ResultPortAlreadyExists)
	n.must(n.DeleteLoadBalancer(t.Context(), made.ID)) // what goes is not refused
	n.ClearFaults()
	_, err = n.CreateLoadBalancer(t.Context(), bad)
	n.must(err)
}

// remoteEndpointRefused checks that ending one refusal left the other.
func (n *node) remoteEndpointRefused(code hnslb.HRESULT) {
	n.t.Helper()
	_, err := n.CreateEndpoint(n.t.Context(), n.remoteEndpoint("10.244.2.7"))
	wantCode(n.t, err, code)
}

// TestHangOn: one object is stuck, the others go on.
func TestHangOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, profiles.WS2022(), "L2Bridge")
		pods := []hnslb.ID{n.local("10.244.1.5")}
		stuck := balancerOf(pods, external(81))
		n.HangOn(stuck.ObjectName())
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := n.CreateLoadBalancer(ctx, stuck)
			cancel()
			if hnslb.ErrorClass(err) != hnslb.Timeout {
				t.Errorf("the stuck one: %v, want Timeout", err)
			}
		}
		n.balance(pods, external(82))
		n.ReleaseHung()
		// The writes that were left behind took effect: the first one made it.
		_, err := n.CreateLoadBalancer(t.Context(), stuck)
		wantCode(t, err, hnslb.ResultPortAlreadyExists)
	})
}

// TestDeafHangs: a call outlives its context, and its work is done on release.
func TestDeafHangs(t *testing.T) {
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			profile := profiles.WS2022()
			profile.Quirks.AbandonedWritesLost = lost
			n := newNode(t, profile, "L2Bridge")
			pod := n.local("10.244.1.5")
			n.SetFaults(profiles.Faults{DeafHangs: true})
			n.Hang(hnslb.VerbCreateLoadBalancer, -1)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := n.CreateLoadBalancer(ctx, balancerOf([]hnslb.ID{pod}))
				ended <- err
			}()
			synctest.Wait()
			cancel()
			synctest.Wait()
			select {
			case err := <-ended:
				t.Fatalf("the call ended with its context: %v", err)
			default:
			}
			n.ClearFaults()
			if err := <-ended; hnslb.ErrorClass(err) != hnslb.Timeout {
				t.Errorf("the call ended with %v, want Timeout", err)
			}
			want := 1
			if lost {
				want = 0
			}
			if got := len(n.State().LoadBalancers); got != want {
				t.Errorf("abandoned writes lost %v: %d load balancers, want %d", lost, got, want)
			}
		})
	}
}

// TestSlowLists: a list takes its time, other reads do not, and it shows its end or its start.
func TestSlowLists(t *testing.T) {
	for _, early := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, profiles.WS2022(), "L2Bridge")
			n.SetFaults(profiles.Faults{ListsTake: 5 * time.Second, ListsShowStart: early})
			start := time.Now()
			listed := make(chan int, 1)
			go func() {
				eps, err := n.Endpoints(t.Context())
				if err != nil {
					t.Error(err)
				}
				listed <- len(eps)
			}()
			synctest.Wait()
			n.local("10.244.1.5")
			if _, err := n.Network(t.Context(), "Calico"); err != nil || time.Since(start) > 0 {
				t.Errorf("another read took %v: %v", time.Since(start), err)
			}
			want := 1
			if early {
				want = 0
			}
			if got := <-listed; got != want || time.Since(start) != 5*time.Second {
				t.Errorf("shows start %v: %d endpoints after %v, want %d after 5 s", early, got, time.Since(start), want)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := n.LoadBalancers(ctx); hnslb.ErrorClass(err) != hnslb.Timeout {
				t.Errorf("an impatient list: %v, want Timeout", err)
			}
		})
	}
}

// TestStopEndsSlowLists: a list that had looked before HNS stopped does not answer.
func TestStopEndsSlowLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, profiles.WS2022(), "L2Bridge")
		n.SetFaults(profiles.Faults{ListsTake: time.Second, ListsShowStart: true})
		ended := make(chan error, 1)
		go func() {
			_, err := n.Endpoints(t.Context())
			ended <- err
		}()
		synctest.Wait()
		n.Restart(emulator.RestartOptions{})
		wantCode(t, <-ended, hnslb.ResultCallFailed)
	})
}
