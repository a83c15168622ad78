// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	testclock "k8s.io/utils/clock/testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

func slowNode(t *testing.T, profile profiles.Profile) *node {
	t.Helper()
	return nodeOf(t, emulator.Config{Profile: profile, Latency: emulator.WS2022Latency()}, spec("L2Bridge"))
}

// TestLatencyOfWrites: writes take their time one after another, in the order in which
// they arrived; reads do not wait for them.
func TestLatencyOfWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := slowNode(t, profiles.WS2022())
		start := time.Now()
		type end struct {
			number int
			after  time.Duration
		}
		ends := make(chan end, 5)
		for i := range 5 {
			go func() {
				_, err := n.CreateEndpoint(t.Context(), n.remoteEndpoint("10.244.2."+string(rune('1'+i))))
				if err != nil {
					t.Error(err)
				}
				ends <- end{i, time.Since(start)}
			}()
			synctest.Wait() // let it arrive before the next
		}
		if _, err := n.Endpoints(t.Context()); err != nil || time.Since(start) != 100*time.Microsecond {
			t.Errorf("a read took %s, want 0.1 ms: %v", time.Since(start), err)
		}
		var got []end
		for range 5 {
			got = append(got, <-ends)
		}
		var want []end
		for i := range 5 {
			want = append(want, end{i, time.Duration(i+1) * 8 * time.Millisecond})
		}
		if !slices.Equal(got, want) {
			t.Errorf("writes ended %v, want %v", got, want)
		}
		if busy := n.WriteTime(); busy != 40*time.Millisecond {
			t.Errorf("HNS was busy with writes for %s, want 40 ms", busy)
		}
	})
}

// TestWritesTake: writes may take long for a while, and reads go on.
func TestWritesTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, profiles.WS2019(), "L2Bridge")
		start := time.Now()
		n.SetFaults(profiles.Faults{WritesTake: 30 * time.Second})
		first, second := n.remote("10.244.2.1"), n.remote("10.244.2.2")
		if took := time.Since(start); took != time.Minute {
			t.Errorf("two writes took %s, want a minute", took)
		}
		if _, err := n.Endpoints(t.Context()); err != nil || time.Since(start) != time.Minute {
			t.Errorf("a read took %s: %v", time.Since(start)-time.Minute, err)
		}
		n.SetFaults(profiles.Faults{})
		n.balance([]hnslb.ID{first, second})
		if took := time.Since(start); took != time.Minute {
			t.Errorf("it is slow after the fault has ended: %s", took)
		}
	})
}

// TestLatencyAbandonedWrite: a write whose caller gave up is carried out all the same,
// unless the quirk says otherwise, and holds up the next.
func TestLatencyAbandonedWrite(t *testing.T) {
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			profile := profiles.WS2022()
			profile.Quirks.AbandonedWritesLost = lost
			n := slowNode(t, profile)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
			defer cancel()
			start := time.Now()
			given := n.remoteEndpoint("10.244.2.1")
			_, err := n.CreateEndpoint(ctx, given)
			given.IPs[0] = ip("10.244.2.99") // the caller's again
			if hnslb.ErrorClass(err) != hnslb.Timeout || time.Since(start) != 5*time.Millisecond {
				t.Errorf("after %s: %v, want Timeout after 5 ms", time.Since(start), err)
			}
			n.remote("10.244.2.2")
			held, took := 2, 16*time.Millisecond
			if lost {
				held, took = 1, 13*time.Millisecond
			}
			if got := len(n.State().Endpoints); got != held || strings.Contains(n.Dump(), "10.244.2.99") {
				t.Errorf("lost %v: %d endpoints, want %d:\n%s", lost, got, held, n.Dump())
			}
			if time.Since(start) != took {
				t.Errorf("lost %v: the next write ended after %s, want %s", lost, time.Since(start), took)
			}
		})
	}
}

func TestLatencyReadEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := slowNode(t, profiles.WS2022())
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Microsecond)
		defer cancel()
		if _, err := n.Endpoints(ctx); hnslb.ErrorClass(err) != hnslb.Timeout {
			t.Errorf("read: %v, want Timeout", err)
		}
	})
}

// TestStopFailsWritesOnTheirWay: what HNS had accepted when it stopped is not done, even
// when HNS is back before its turn.
func TestStopFailsWritesOnTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := slowNode(t, profiles.WS2022())
		done := make(chan error, 1)
		go func() {
			_, err := n.CreateEndpoint(t.Context(), n.remoteEndpoint("10.244.2.1"))
			done <- err
		}()
		synctest.Wait()
		n.Restart(emulator.RestartOptions{})
		wantCode(t, <-done, hnslb.ResultCallFailed)
		if got := len(n.State().Endpoints); got != 0 {
			t.Errorf("%d endpoints, want none", got)
		}
	})
}

// TestNoLatencyNoTimer: without latency the emulator does not touch the clock's timers,
// so a clock that nobody steps does not hold it up.
func TestNoLatencyNoTimer(t *testing.T) {
	clock := testclock.NewFakeClock(time.Unix(0, 0))
	n := nodeOf(t, emulator.Config{Clock: clock}, spec("L2Bridge"))
	n.balance([]hnslb.ID{n.remote("10.244.2.1")})
	if clock.HasWaiters() {
		t.Error("a timer was started")
	}
	if busy := n.WriteTime(); busy != 0 {
		t.Errorf("HNS was busy for %s, want 0", busy)
	}
}

// TestFakeClock: latency runs on the clock that was given.
func TestFakeClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := testclock.NewFakeClock(time.Unix(0, 0))
		n := nodeOf(t, emulator.Config{Clock: clock, Latency: emulator.WS2022Latency()}, spec("L2Bridge"))
		done := make(chan error, 1)
		go func() {
			_, err := n.CreateEndpoint(t.Context(), n.remoteEndpoint("10.244.2.1"))
			done <- err
		}()
		synctest.Wait()
		clock.Step(7 * time.Millisecond)
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("the write ended before its time: %v", err)
		default:
		}
		clock.Step(time.Millisecond)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
