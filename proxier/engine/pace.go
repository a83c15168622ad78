// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// setWidth says how many calls may be under way on an HNS.
func (c *calls) setWidth(v hnslb.Version, given int) {
	c.slow = v.Major < 11
	switch {
	case given > 0:
		c.width = given
	case c.slow:
		c.width = oldWidth
	default:
		c.width = width
	}
}

// callTimeout is how long a call may take before its object counts as stuck.
func (e *Engine) callTimeout() time.Duration {
	if e.calls.slow {
		return oldFactor * e.cfg.CallTimeout
	}
	return e.cfg.CallTimeout
}

// patience is how long a call may take before it gives its place away.
func (c *calls) patience() time.Duration {
	least, most := leastPatience, mostPatience
	if c.slow {
		least, most = oldPatience, oldFactor*mostPatience
	}
	p := min(max(patienceFactor*c.pace, least), most)
	return min(p<<min(c.stuck/c.width, 8), 4*most)
}
