// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"k8s.io/utils/clock"
)

// jumpClock is a machine's clock whose wall reading can be set, as a time service or an
// administrator sets it. As on a machine the monotonic reading does not jump with it, so that
// durations in the program stay right. Timers run on the time of the bubble.
type jumpClock struct {
	clock.RealClock
	boot time.Time

	mu   sync.Mutex
	wall time.Duration
}

func newJumpClock() *jumpClock { return &jumpClock{boot: time.Now()} }

// jump sets the wall reading forward, or backward.
func (c *jumpClock) jump(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall += by
}

// Now is part of clock.Clock.
func (c *jumpClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return withMonotonic(now.Add(c.wall), now.Sub(c.boot)+1)
}

// Since is part of clock.Clock.
func (c *jumpClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// withMonotonic returns a time with a monotonic reading of our choice. In a bubble the times
// of package time have none, and nothing else can set one: this knows how a Time is laid out.
// TestJumpClock fails should that ever change.
func withMonotonic(wall time.Time, reading time.Duration) time.Time {
	const year1885 = -2682288000 // of the Unix epoch, in seconds
	t := wall
	raw := (*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t))
	raw.wall = 1<<63 | uint64(wall.Unix()-year1885)<<30 | uint64(wall.Nanosecond())
	raw.ext = int64(reading)
	return t
}

// TestJumpClock: a jump shows in the wall reading and in no duration.
func TestJumpClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newJumpClock()
		before := c.Now()
		if got := time.Since(before); got != 0 {
			t.Errorf("the clock is %v behind the bubble", got)
		}
		c.jump(-time.Hour)
		<-c.After(1500 * time.Millisecond)
		after := c.Now()
		if got := after.Sub(before); got != 1500*time.Millisecond {
			t.Errorf("1.5 s took %v", got)
		}
		if !before.Before(after) || c.Since(before) != 1500*time.Millisecond {
			t.Error("time ran backward")
		}
		if got := after.Round(0).Sub(before.Round(0)); got != 1500*time.Millisecond-time.Hour {
			t.Errorf("the wall reading moved by %v", got)
		}
	})
}
