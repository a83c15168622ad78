// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package profiles_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestProfileJSON: a profile survives its JSON form, and what is not understood is refused.
func TestProfileJSON(t *testing.T) {
	for _, want := range profiles.All() {
		want.Faults.HalfMade = true
		want.Timings = []profiles.Timing{{Verb: hnslb.VerbNetwork, Objects: 100, Median: 1500 * time.Microsecond, P99: time.Second}}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got profiles.Profile
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
		var p profiles.Profile
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
		if got := profiles.Of(v).Name; got != want {
			t.Errorf("HNS %v is taken for %s, want %s", v, got, want)
		}
	}
}
