// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// recordDuration updates the average duration of calls, and the idle time owed to other HNS
// clients.
func (e *Engine) recordDuration(c *Call) {
	took := e.now.Sub(c.began)
	e.calls.recentHangs = 0
	if !c.hanging || e.calls.old {
		e.calls.averageDuration += (took - e.calls.averageDuration) / 8
	}
	if c.hanging {
		return // HNS worked on other calls meanwhile
	}
	busy := min(took, e.now.Sub(e.calls.lastEnded)) // the time before is accounted to the previous call
	e.calls.lastEnded = e.now
	e.calls.idleOwed += time.Duration(float64(busy) * (1 - e.cfg.Share) / e.cfg.Share)
}

// mustIdle returns whether HNS has to be left idle now. A VIP without a load balancer does not
// wait.
func (c *calls) mustIdle(now time.Time) bool {
	if c.exclusive != nil && c.exclusive.down {
		return false
	}
	if c.idleOwed > 0 {
		if c.running() > 0 {
			return true
		}
		c.idleUntil, c.idleOwed = c.lastEnded.Add(c.idleOwed), 0
	}
	if now.Before(c.idleUntil) {
		return true
	}
	c.idleUntil = time.Time{}
	return false
}
