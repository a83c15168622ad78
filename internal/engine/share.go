// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// recordDuration learns how long calls take, and gives others their share of HNS.
func (e *Engine) recordDuration(c *Call) {
	took := e.now.Sub(c.began)
	e.calls.recentHangs = 0
	if !c.hanging || e.calls.old {
		e.calls.averageDuration += (took - e.calls.averageDuration) / 8
	}
	if c.hanging {
		return // HNS did other things meanwhile
	}
	busy := min(took, e.now.Sub(e.calls.lastEnded)) // before, HNS was busy with the other call
	e.calls.lastEnded = e.now
	e.calls.idleOwed += time.Duration(float64(busy) * (1 - e.cfg.Share) / e.cfg.Share)
}

// mustIdle tells whether HNS is left to others. A VIP that is dark does not wait for that.
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
