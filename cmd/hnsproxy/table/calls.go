// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package table

import (
	"context"
	"maps"
	"sync"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Calls counts calls of HNS. The zero value counts from nothing.
type Calls struct {
	mu    sync.Mutex
	verbs map[hnslb.Verb]int
}

// Count returns d with its calls counted.
func (c *Calls) Count(d hnslb.Driver) hnslb.Driver {
	return hnslb.Intercept(d, func(ctx context.Context, call hnslb.Call, next hnslb.Next) (any, error) {
		out, err := next(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.verbs == nil {
			c.verbs = map[hnslb.Verb]int{}
		}
		c.verbs[call.Verb]++
		return out, err
	})
}

// Counts returns how often each verb was called.
func (c *Calls) Counts() map[hnslb.Verb]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.verbs)
}
