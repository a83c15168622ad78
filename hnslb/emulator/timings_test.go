// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestTimings: calls take what the profile says for the size that HNS has.
func TestTimings(t *testing.T) {
	profile := profiles.WS2022()
	timing := func(objects int, d time.Duration) profiles.Timing {
		return profiles.Timing{Verb: hnslb.VerbCreateEndpoint, Objects: objects, Median: d, P99: d}
	}
	profile.Timings = []profiles.Timing{timing(2, 9*time.Millisecond), timing(1, 5*time.Millisecond)}
	synctest.Test(t, func(t *testing.T) {
		n := nodeOf(t, emulator.Config{Profile: profile}, spec("L2Bridge"))
		for i, want := range []time.Duration{5, 5, 9, 9} {
			start := time.Now()
			if _, err := n.CreateEndpoint(t.Context(), n.remoteEndpoint("10.244.2."+string(rune('1'+i)))); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got != want*time.Millisecond {
				t.Errorf("create number %d took %v, want %v ms", i+1, got, want)
			}
		}
		start := time.Now()
		if _, err := n.Endpoints(t.Context()); err != nil || time.Since(start) != 0 {
			t.Errorf("a verb without a timing took %v: %v", time.Since(start), err)
		}
	})
}

// TestTimingTail: one call in a hundred takes what P99 says.
func TestTimingTail(t *testing.T) {
	profile := profiles.WS2022()
	profile.Timings = []profiles.Timing{{Verb: hnslb.VerbEndpoints, Median: time.Millisecond, P99: time.Second}}
	synctest.Test(t, func(t *testing.T) {
		n := nodeOf(t, emulator.Config{Profile: profile}, spec("L2Bridge"))
		slow := 0
		for range 2000 {
			start := time.Now()
			if _, err := n.Endpoints(t.Context()); err != nil {
				t.Fatal(err)
			}
			if time.Since(start) == time.Second {
				slow++
			}
		}
		if slow < 8 || slow > 40 {
			t.Errorf("%d of 2,000 calls were slow, want about 20", slow)
		}
	})
}
