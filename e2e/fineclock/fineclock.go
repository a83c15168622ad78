// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fineclock is the machine's clock with timers that are as fine as the kernel's.
//
// Go waits for its timers in whole milliseconds when a process has nothing else to do: a timer of 0.1 ms, which is what an
// emulated HNS takes for a read, fires after 1.1 ms. Whoever measures with such an HNS would measure that.
package fineclock

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Clock is the machine's clock. The zero value is ready.
type Clock struct{ clock.RealClock }

var _ clock.Clock = Clock{}

// NewTimer returns a timer that is late by about 0.1 ms at most on an idle machine. It takes a thread while it runs.
func (Clock) NewTimer(d time.Duration) clock.Timer {
	t := &timer{fired: make(chan time.Time, 1)}
	t.Reset(d)
	return t
}

type timer struct {
	fired chan time.Time

	mu sync.Mutex
	// run counts how often the timer was set; an earlier run that wakes up late does nothing.
	run     int
	running bool
}

// C is part of clock.Timer.
func (t *timer) C() <-chan time.Time { return t.fired }

// Stop is part of clock.Timer.
func (t *timer) Stop() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.running
	t.running = false
	t.run++
	return was
}

// Reset is part of clock.Timer.
func (t *timer) Reset(d time.Duration) bool {
	was := t.Stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = true
	run := t.run
	go func() {
		pause(d)
		t.fire(run)
	}()
	return was
}

func (t *timer) fire(run int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.running || run != t.run {
		return
	}
	t.running = false
	select {
	case t.fired <- time.Now():
	default: // nobody has taken the last one
	}
}
