// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package fineclock_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/e2e/fineclock"
)

// TestShortTimers holds that the median of many timers of 0.1 ms is well below a millisecond, and that none is early by more than
// the kernel's slack.
func TestShortTimers(t *testing.T) {
	const short = 100 * time.Microsecond
	var took []time.Duration
	for range 200 {
		start := time.Now()
		<-fineclock.Clock{}.NewTimer(short).C()
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	if median := took[len(took)/2]; median > 700*time.Microsecond {
		t.Errorf("half of the timers of %s took longer than %s", short, median)
	}
	if took[0] < short/2 {
		t.Errorf("a timer of %s fired after %s", short, took[0])
	}
}

func TestStopAndReset(t *testing.T) {
	timer := fineclock.Clock{}.NewTimer(20 * time.Millisecond)
	if !timer.Stop() || timer.Stop() {
		t.Error("Stop does not tell whether the timer ran")
	}
	start := time.Now()
	if timer.Reset(60 * time.Millisecond) {
		t.Error("a stopped timer ran")
	}
	if <-timer.C(); time.Since(start) < 50*time.Millisecond {
		t.Errorf("the stopped run fired after %s", time.Since(start))
	}
	if timer.Stop() {
		t.Error("a timer that has fired runs")
	}
}
