// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"k8s.io/utils/clock"
)

// Instrument returns a driver that counts and times every call of d in m. Results and errors are
// unchanged. c may be nil for the real clock.
func Instrument(d hnslb.Driver, m *Metrics, c clock.PassiveClock) hnslb.Driver {
	if c == nil {
		c = clock.RealClock{}
	}
	return hnslb.Intercept(d, func(ctx context.Context, call hnslb.Call, next hnslb.Next) (any, error) {
		start := c.Now()
		out, err := next(ctx)
		m.HNSCall(call.Verb, c.Since(start), err)
		return out, err
	})
}
