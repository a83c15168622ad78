// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// paced learns how long calls take, and gives others their share of HNS.
func (e *Engine) paced(c *Call) {
	took := e.now.Sub(c.began)
	e.calls.stuck = 0
	if !c.hanging || e.calls.old {
		e.calls.pace += (took - e.calls.pace) / 8
	}
	if c.hanging {
		return // HNS did other things meanwhile
	}
	busy := min(took, e.now.Sub(e.calls.ended)) // before, HNS was busy with the other call
	e.calls.ended = e.now
	e.calls.rest += time.Duration(float64(busy) * (1 - e.cfg.Share) / e.cfg.Share)
}

// rests tells whether HNS is left to others. A VIP that is dark does not wait for that.
func (c *calls) rests(now time.Time) bool {
	if c.alone != nil && c.alone.dark {
		return false
	}
	if c.rest > 0 {
		if c.running() > 0 {
			return true
		}
		c.notBefore, c.rest = c.ended.Add(c.rest), 0
	}
	if now.Before(c.notBefore) {
		return true
	}
	c.notBefore = time.Time{}
	return false
}
