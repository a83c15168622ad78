// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"sync"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// settled waits for the calls of a driver. hnslb.WithTimeout leaves calls behind, and those would change the host of
// the next test.
type settled struct{ calls sync.WaitGroup }

// settle waits until no call is on its way, or ctx ends.
func (d *settled) settle(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		d.calls.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// around returns d with its calls to be waited for.
func (d *settled) around(inner hnslb.Driver) hnslb.Driver {
	return hnslb.Intercept(inner, func(ctx context.Context, _ hnslb.Call, next hnslb.Next) (any, error) {
		d.calls.Add(1)
		defer d.calls.Done()
		return next(ctx)
	})
}
