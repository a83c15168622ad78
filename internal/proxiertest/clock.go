// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxiertest

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// PausingClock is the clock of the bubble, at which a proxy waits while several changes are
// handed to it, so that they are one change on every run.
type PausingClock struct {
	clock.RealClock
	mu sync.RWMutex
}

// Pause makes everybody who asks for the time wait for the function that it returns.
func (c *PausingClock) Pause() (resume func()) {
	c.mu.Lock()
	return c.mu.Unlock
}

// Now is part of clock.Clock.
func (c *PausingClock) Now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.RealClock.Now()
}
