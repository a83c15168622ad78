// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// TestProfileJSON: a profile survives its JSON form, and what is not understood is refused.
func TestProfileJSON(t *testing.T) {
	for _, want := range emulator.Profiles() {
		want.Faults.HalfMade = true
		want.Timings = []emulator.Timing{{Verb: hnslb.VerbNetwork, Objects: 100, Median: 1500 * time.Microsecond, P99: time.Second}}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got emulator.Profile
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s came back as %+v: %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		`{"Version":{"Major":13,"Minor":2},"Quirks":{"NoSuchSwitch":true}}`:                             `"NoSuchSwitch": it was written by another version`,
		`{"Version":{"Major":13,"Minor":2},"Timings":[{"Verb":"Network","Median":"1ms","P98":"2ms"}]}`:  `"P98": it was written by another version`,
		`{"Version":{"Major":13,"Minor":2},"Timings":[{"Verb":"Network","Median":"soon","P99":"2ms"}]}`: `timing of Network`,
		`{"Version":{"Major":13,"Minor":2},"Quirks":{"UnknownEndpointCode":"E_FAIL"}}`:                  `result code "E_FAIL"`,
		`{"Name":"x"}`: "no version of HNS",
	} {
		var p emulator.Profile
		if err := json.Unmarshal([]byte(text), &p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", text, err, want)
		}
	}
}

// TestProfileOf: a version between two releases, or beyond all of them, is taken for the
// release before.
func TestProfileOf(t *testing.T) {
	for v, want := range map[hnslb.Version]string{
		{Major: 9, Minor: 2}: "ws2019", {Major: 9, Minor: 7}: "ws2019", {Major: 13, Minor: 2}: "ws2022",
		{Major: 15, Minor: 4}: "ws2025-rtm", {Major: 15, Minor: 9}: "ws2025", {Major: 17, Minor: 1}: "next",
	} {
		if got := emulator.ProfileOf(v).Name; got != want {
			t.Errorf("HNS %v is taken for %s, want %s", v, got, want)
		}
	}
}

// TestTimings: calls take what the profile says for the size that HNS has.
func TestTimings(t *testing.T) {
	profile := emulator.WS2022()
	timing := func(objects int, d time.Duration) emulator.Timing {
		return emulator.Timing{Verb: hnslb.VerbCreateEndpoint, Objects: objects, Median: d, P99: d}
	}
	profile.Timings = []emulator.Timing{timing(2, 9*time.Millisecond), timing(1, 5*time.Millisecond)}
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
	profile := emulator.WS2022()
	profile.Timings = []emulator.Timing{{Verb: hnslb.VerbEndpoints, Median: time.Millisecond, P99: time.Second}}
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
