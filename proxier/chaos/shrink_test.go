// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"slices"
	"testing"
	"time"
)

// shrink takes actions out of a script for as long as it still fails, larger pieces first,
// until no single one can go or the time is up. It is delta debugging, in its simplest form.
func shrink(s script, fails func(script) bool, until time.Time) script {
	for piece := max(len(s.actions)/2, 1); ; {
		shorter := false
		for at := 0; at < len(s.actions); {
			if time.Now().After(until) {
				return s
			}
			try := s
			try.actions = slices.Delete(slices.Clone(s.actions), at, min(at+piece, len(s.actions)))
			if fails(try) {
				s, shorter = try, true
			} else {
				at += piece
			}
		}
		switch {
		case piece > 1:
			piece /= 2
		case !shorter:
			return s
		}
	}
}

// TestShrink: what is left is what the failure needs.
func TestShrink(t *testing.T) {
	var s script
	for range 20 {
		for _, name := range []string{"pod", "slice", "service"} {
			s.actions = append(s.actions, action{name: name})
		}
	}
	s.actions[33].name, s.actions[7].name = "kill", "hns-away"
	fails := func(s script) bool {
		away := slices.IndexFunc(s.actions, func(a action) bool { return a.name == "hns-away" })
		return away >= 0 && slices.ContainsFunc(s.actions[away:], func(a action) bool { return a.name == "kill" })
	}
	got := shrink(s, fails, time.Now().Add(time.Minute))
	if len(got.actions) != 2 || got.actions[0].name != "hns-away" || got.actions[1].name != "kill" {
		t.Errorf("left is %v, want hns-away and kill", got.actions)
	}
	if len(s.actions) != 60 || !fails(s) {
		t.Error("the script itself was changed")
	}
	if got := shrink(s, fails, time.Now().Add(-time.Second)); len(got.actions) != 60 {
		t.Errorf("%d actions left when there was no time, want 60", len(got.actions))
	}
}
