// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

const (
	slowFactor   = 4
	minSlowAfter = 40 * time.Millisecond
)

// setMaxConcurrent sets the number of concurrent calls from the configuration, or from the HNS
// version if configured is 0.
func (c *calls) setMaxConcurrent(v hnslb.Version, configured int) {
	c.old = v.Major < 11
	switch {
	case configured > 0:
		c.maxConcurrent = configured
	case c.old:
		c.maxConcurrent = oldMaxConcurrentCalls
	default:
		c.maxConcurrent = maxConcurrentCalls
	}
}

// callTimeout returns how long a call may take before its object counts as stuck.
func (e *Engine) callTimeout() time.Duration {
	if e.calls.old {
		return oldFactor * e.cfg.CallTimeout
	}
	return e.cfg.CallTimeout
}

// hangAfter returns how long a call may take before it gives up its slot.
func (c *calls) hangAfter() time.Duration {
	least, most := minHangAfter, maxHangAfter
	if c.old {
		least, most = oldMinHangAfter, oldFactor*maxHangAfter
	}
	p := min(max(hangFactor*c.averageDuration, least), most)
	return min(p<<min(c.recentHangs/c.maxConcurrent, 8), 4*most)
}

// slowAfter returns how long a call may take before one more call may start beside it. This is well
// before it counts as hanging, which costs a list. It does not apply to an old HNS, which gets one
// call at a time: a network plugin that queues behind our calls would wait for one more.
func (c *calls) slowAfter() time.Duration {
	if c.old {
		return c.hangAfter()
	}
	return max(slowFactor*c.averageDuration, minSlowAfter)
}

func (c *calls) isSlow(call *Call, now time.Time) bool { return now.Sub(call.began) >= c.slowAfter() }

// slotsInUse returns the number of occupied slots. All slow calls together free one slot.
func (c *calls) slotsInUse(now time.Time) int {
	n, slow := 0, 0
	for _, call := range c.inFlight {
		if call.hanging {
			continue
		}
		n++
		if c.isSlow(call, now) {
			slow = 1
		}
	}
	return n - slow
}

// exclusiveMustWait returns whether the exclusive unit has to wait for other calls.
func (c *calls) exclusiveMustWait(now time.Time) bool {
	return c.slotsInUse(now) > 0 || c.busy[c.exclusive.task] != nil
}

// due returns when a call in flight exceeds its next time limit.
func (c *calls) due(now time.Time, timeout time.Duration) time.Time {
	next := time.Time{}
	for _, call := range c.inFlight {
		switch {
		case !call.hanging && !c.isSlow(call, now):
			next = earliestTime(next, call.began.Add(c.slowAfter()))
		case !call.hanging:
			next = earliestTime(next, call.began.Add(c.hangAfter()))
		case !call.reported && timeout > 0:
			next = earliestTime(next, call.began.Add(timeout))
		}
	}
	return earliestTime(next, c.idleUntil)
}

// orphanAll records that no call in flight will return.
func (c *calls) orphanAll() {
	for _, call := range c.inFlight {
		call.orphaned = true
	}
}
