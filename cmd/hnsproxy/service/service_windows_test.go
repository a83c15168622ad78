// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/windows"
	"pgregory.net/rapid"
)

// TestSplitAsWindows compares Split with what Windows does.
func TestSplitAsWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.StringMatching(`[ab\\" \t-]{0,16}`).Draw(t, "line")
		want, err := windows.DecomposeCommandLine("program " + line) // the first word has rules of its own
		if err != nil {
			t.Fatal(err)
		}
		if got := Split(line); !slices.Equal(got, want[1:]) {
			t.Errorf("Split(%q) is %q, Windows says %q", line, got, want[1:])
		}
	})
}

// TestThisSystem: a test is no service, and finds that out.
func TestThisSystem(t *testing.T) {
	sys := thisSystem()
	if sys.startedAsService() {
		t.Error("the service control manager is said to have started this test")
	}
	if err := sys.dispatch(nil); !errors.Is(err, errNotStarted) {
		t.Errorf("the service control manager answers %v", err)
	}
	if err := IgnoreLogoff(); err != nil {
		t.Error(err)
	}
}
