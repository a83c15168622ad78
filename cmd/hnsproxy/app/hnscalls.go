// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// callLevel is the verbosity at which HNS calls are logged.
const callLevel = 4

// logCalls returns a driver that logs each call of d with its duration when it returns, even if its
// caller has given up by then.
func logCalls(d hnslb.Driver, logger klog.Logger, c clock.PassiveClock) hnslb.Driver {
	l := logger.V(callLevel)
	return hnslb.Intercept(d, func(ctx context.Context, call hnslb.Call, next hnslb.Next) (any, error) {
		start := c.Now()
		out, err := next(ctx)
		if !l.Enabled() {
			return out, err
		}
		line := []any{"call", call.Verb, "object", call.Object, "took", c.Since(start).String()}
		if err != nil {
			line = append(line, "err", err)
		} else {
			line = append(line, callResult(out)...)
		}
		l.Info("HNS call", line...)
		return out, err
	})
}

// callResult returns the result of a call for the log.
func callResult(out any) []any {
	switch out := out.(type) {
	case []hnslb.Endpoint:
		return []any{"found", len(out)}
	case []hnslb.LoadBalancer:
		return []any{"found", len(out)}
	case hnslb.Endpoint:
		return []any{"id", out.ID}
	case hnslb.LoadBalancer:
		return []any{"id", out.ID, "endpoints", len(out.Endpoints)}
	}
	return nil
}
