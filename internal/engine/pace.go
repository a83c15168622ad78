// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

const (
	slowFactor = 4
	leastSlow  = 40 * time.Millisecond
)

// setWidth says how many calls may be in progress on an HNS.
func (c *calls) setWidth(v hnslb.Version, given int) {
	c.old = v.Major < 11
	switch {
	case given > 0:
		c.width = given
	case c.old:
		c.width = oldWidth
	default:
		c.width = width
	}
}

// callTimeout is how long a call may take before its object counts as stuck.
func (e *Engine) callTimeout() time.Duration {
	if e.calls.old {
		return oldFactor * e.cfg.CallTimeout
	}
	return e.cfg.CallTimeout
}

// patience is how long a call may take before it gives its place away.
func (c *calls) patience() time.Duration {
	least, most := leastPatience, mostPatience
	if c.old {
		least, most = oldPatience, oldFactor*mostPatience
	}
	p := min(max(patienceFactor*c.pace, least), most)
	return min(p<<min(c.stuck/c.width, 8), 4*most)
}

// slowAfter is how long a call may take before one other may begin beside it: long before it
// counts as hanging, which costs a list, but on an old HNS, which gets one call at a time. A
// network plugin that waits behind our calls meets one more of them then.
func (c *calls) slowAfter() time.Duration {
	if c.old {
		return c.patience()
	}
	return max(slowFactor*c.pace, leastSlow)
}

func (c *calls) isSlow(call *Call, now time.Time) bool { return now.Sub(call.began) >= c.slowAfter() }

// taken is how many places calls take up. All slow ones together give one place away.
func (c *calls) taken(now time.Time) int {
	n, slow := 0, 0
	for _, call := range c.open {
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

// occupied tells whether the unit whose calls must be adjacent has to wait.
func (c *calls) occupied(now time.Time) bool {
	return c.taken(now) > 0 || c.busy[c.alone.task] != nil
}

// due returns when a call that is in progress has taken too long.
func (c *calls) due(now time.Time, timeout time.Duration) time.Time {
	next := time.Time{}
	for _, call := range c.open {
		switch {
		case !call.hanging && !c.isSlow(call, now):
			next = earliest(next, call.began.Add(c.slowAfter()))
		case !call.hanging:
			next = earliest(next, call.began.Add(c.patience()))
		case !call.told && timeout > 0:
			next = earliest(next, call.began.Add(timeout))
		}
	}
	return earliest(next, c.notBefore)
}

// orphan says that no call that is in progress will return.
func (c *calls) orphan() {
	for _, call := range c.open {
		call.orphan = true
	}
}
