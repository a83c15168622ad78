// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package bulk

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
)

// Churn replaces endpoints at a steady rate, each time one of another Service.
type Churn struct {
	Changes int
	// Interval is the time from one change to the next.
	Interval time.Duration
	// NextIP returns an address that no endpoint has had.
	NextIP func() netip.Addr
	// Expect is told of each change before it is written, of one at a time. An error ends the churn.
	Expect func(n int, s *Service, old, ip netip.Addr) error
}

// Churn writes all changes to these Services, each of which has the same number of endpoints. It returns when they are written.
func (c *Cluster) Churn(ctx context.Context, services []*Service, o Churn) error {
	addresses := make([][]netip.Addr, len(services))
	for i, s := range services {
		addresses[i] = s.Backends()
	}
	ticker := time.NewTicker(o.Interval)
	defer ticker.Stop()
	group, ctx := errgroup.WithContext(ctx)
	for n := range o.Changes {
		select {
		case <-ctx.Done():
			return group.Wait()
		case <-ticker.C:
		}
		// 7919 is prime to every number of Services that is not a multiple of it, so that all have their turn.
		which := (n * 7919) % len(services)
		index := n / len(services) % len(addresses[which])
		old, ip := addresses[which][index], o.NextIP()
		addresses[which][index] = ip
		if err := o.Expect(n, services[which], old, ip); err != nil {
			return errors.Join(err, group.Wait())
		}
		group.Go(func() error { return c.Replace(ctx, services[which], index, Endpoint{IP: ip}) })
	}
	return group.Wait()
}
