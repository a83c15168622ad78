// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"
)

func TestModify(t *testing.T) {
	now := time.Unix(1000, 0)
	m := modify{}
	if m.enabled(now) {
		t.Error("an HNS that cannot is asked")
	}
	m.supported = true
	if !m.enabled(now) {
		t.Error("an HNS that can is not asked")
	}
	fail := func(want time.Duration) {
		t.Helper()
		until := m.disable(now)
		if got := until.Sub(now); got != want {
			t.Errorf("off for %s, want %s", got, want)
		}
		if m.enabled(until.Add(-1)) || !m.enabled(until) {
			t.Errorf("on before it is due: %v, when it is due: %v", m.enabled(until.Add(-1)), m.enabled(until))
		}
		now = until
	}
	for _, minutes := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		fail(minutes * time.Minute)
	}
	m.succeeded()
	fail(time.Minute)
}
