// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package backoff

import (
	"errors"
	"slices"
	"testing"
	"time"
)

var errRefused = errors.New("refused")

// TestBackoff: each failure of an object lets it wait longer, up to a minute, while
// others are not held up; success forgets.
func TestBackoff(t *testing.T) {
	b := New[string](1)
	now := time.Unix(1000, 0)
	last := time.Duration(0)
	for i := range 20 {
		wait := b.Failed("a", errRefused, now).Sub(now)
		expected := min(firstWait<<min(i, 20), lastWait)
		if wait < expected*79/100 || wait > expected*121/100 {
			t.Fatalf("wait %d is %s, want %s and a fifth more or less", i, wait, expected)
		}
		last = wait
	}
	if !b.Waits("a", now) || b.Waits("b", now) {
		t.Error("a failed and must wait, b did not")
	}
	if !errors.Is(b.Err("a"), errRefused) || b.Err("b") != nil {
		t.Errorf("why they failed: %v, %v", b.Err("a"), b.Err("b"))
	}
	if due := b.Due(now); len(due) != 0 {
		t.Errorf("due at once: %v", due)
	}
	if next := b.Next(); !next.Equal(now.Add(last)) {
		t.Errorf("next is %s, want after %s", next, last)
	}
	now = now.Add(last)
	if due := b.Due(now); !slices.Equal(due, []string{"a"}) {
		t.Errorf("due: %v, want a", due)
	}
	if due := b.Due(now); len(due) != 0 || !b.Next().IsZero() {
		t.Errorf("a came due twice: %v, %v", due, b.Next())
	}
	b.Succeeded("a")
	if wait := b.Failed("a", errRefused, now).Sub(now); wait > 2*firstWait {
		t.Errorf("after a success the wait is %s", wait)
	}
}

// TestHurry: a new desired value is tried at once, but the next failure waits no shorter.
func TestHurry(t *testing.T) {
	b := New[string](1)
	now := time.Unix(1000, 0)
	for range 5 {
		b.Failed("a", errRefused, now)
	}
	b.Hurry("a")
	if b.Waits("a", now) {
		t.Error("a still waits")
	}
	if wait := b.Failed("a", errRefused, now).Sub(now); wait < 20*firstWait {
		t.Errorf("the sixth failure waits only %s", wait)
	}
}

// TestCrowd: many that fail together share what HNS is asked for failing ones, so that each
// waits longer; few wait no longer for one another.
func TestCrowd(t *testing.T) {
	now := time.Unix(1000, 0)
	b := New[int](1)
	for i := range 500 {
		b.Failed(-1-i, errRefused, now) // those that failed otherwise do not count
		b.Refused(i, errRefused, now)
	}
	perMinute := map[time.Duration]int{}
	for i := range 500 {
		if due := b.waits[i].due.Sub(now); due > 2*firstWait {
			perMinute[due.Truncate(time.Minute)]++
		} else if i >= crowd {
			t.Errorf("refused object %d is tried after %s", i, due)
		}
		if due := b.waits[-1-i].due.Sub(now); due > 2*firstWait {
			t.Errorf("object %d, which was not refused, waits %s", i, due)
		}
	}
	for minute, n := range perMinute {
		if n > 61 {
			t.Errorf("%d are tried in the minute after %s", n, minute)
		}
	}
	for i := range 450 {
		b.Succeeded(i)
	}
	if due := b.Refused(499, errRefused, now).Sub(now); due > 4*firstWait {
		t.Errorf("one of few waits %s", due)
	}
}

// TestForget: what waits for its time is kept, whoever asks for it no more.
func TestForget(t *testing.T) {
	b := New[string](1)
	now := time.Unix(1000, 0)
	b.Failed("waits", errRefused, now)
	b.Failed("hurried", errRefused, now)
	b.Failed("kept", errRefused, now)
	b.Hurry("hurried")
	b.Hurry("kept")
	b.Forget(func(k string) bool { return k != "kept" })
	if b.Len() != 2 || b.Err("hurried") != nil || b.Err("waits") == nil || b.Err("kept") == nil {
		t.Errorf("%d are left, hurried: %v, waits: %v, kept: %v", b.Len(), b.Err("hurried"), b.Err("waits"), b.Err("kept"))
	}
}
