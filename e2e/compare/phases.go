// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/hnsproxy/hnsproxy/e2e/bulk"
)

// coldStart starts the program on an HNS without load balancers.
func (u *run) coldStart(ctx context.Context) error {
	if err := u.start(ctx); err != nil {
		return err
	}
	all := u.tracker.Missing()
	ok, err := u.await(ctx, u.options.patience, func() string {
		return fmt.Sprintf("cold start: %d of %d frontends", all-u.tracker.Missing(), all)
	}, func(context.Context) (bool, error) { return u.tracker.Missing() == 0, nil })
	if err != nil {
		return err
	}
	cold := &u.result.Cold
	cold.DNS, cold.Kubernetes = u.since(u.services[0]), u.since(u.kubernetes)
	for _, s := range u.services[1:] {
		if at := u.since(s); cold.Others == 0 || at > 0 && at < cold.Others {
			cold.Others = at
		}
	}
	cold.Calls = u.calls()
	if ok {
		cold.Complete = max(u.since(u.services...), cold.Kubernetes)
		cold.Efficiency = float64(cold.Calls.Writing / cold.Complete)
	}
	usage, err := u.usage()
	cold.CPU = seconds(usage.CPU)
	return err
}

// since tells how long after its start the program had these Services in HNS, 0 if it has not.
func (u *run) since(services ...*bulk.Service) Seconds {
	last, ok := u.tracker.Since(services...)
	if !ok {
		return 0
	}
	return seconds(last.Sub(u.running.Started))
}

// idle lets half a minute pass.
func (u *run) idle(ctx context.Context) error {
	if err := u.quiet(ctx, u.options.patience); err != nil {
		return err
	}
	u.reset()
	begin := time.Now()
	_, err := u.await(ctx, 2*idlePeriod, func() string { return "letting half a minute pass" },
		func(context.Context) (bool, error) { return time.Since(begin) >= idlePeriod, nil })
	u.result.Idle = u.calls()
	return err
}

// churn replaces endpoints at a steady rate, each time one of another Service.
func (u *run) churn(ctx context.Context) error {
	before, err := u.usage()
	if err != nil {
		return err
	}
	u.reset()
	u.tracker.ResetChanges()
	if err := u.change(ctx); err != nil {
		return err
	}
	c := &u.result.Churn
	c.Changes = u.options.changes()
	_, err = u.await(ctx, u.options.patience, func() string {
		_, unseen := percentiles(u.tracker.Changes())
		return fmt.Sprintf("waiting for %d of %d changes", unseen, c.Changes)
	}, func(context.Context) (bool, error) { return u.tracker.Missing() == 0, nil })
	if err != nil {
		return err
	}
	c.Latency, c.Unseen = percentiles(u.tracker.Changes())
	// Endpoints that nobody uses any more go last.
	if err := u.quiet(ctx, 2*idlePeriod); err != nil {
		return err
	}
	c.Calls, c.Dark = u.calls(), darkOf(u.hns.Emulator)
	c.Surplus, _ = u.tracker.Surplus(u.hns.State())
	after, err := u.usage()
	c.CPU = seconds(after.CPU - before.CPU)
	return err
}

// change writes all changes, at their times.
func (u *run) change(ctx context.Context) error {
	return u.cluster.Churn(ctx, u.services[1:], bulk.Churn{
		Changes:  u.options.changes(),
		Interval: time.Duration(float64(time.Second) / u.options.rate),
		NextIP:   u.nextIP,
		Expect: func(n int, s *bulk.Service, old, ip netip.Addr) error {
			select {
			case <-u.running.Done():
				return fmt.Errorf("%s has ended: %w; its log ends with:\n%s", u.program.Name, u.running.Err(), u.running.Tail(20))
			default:
			}
			u.say.now(func() string { return fmt.Sprintf("change %d of %d", n+1, u.options.changes()) })
			u.tracker.Expect(s, old, ip)
			return nil
		},
	})
}

// restart kills the program and starts it again.
func (u *run) restart(ctx context.Context) error {
	if _, err := u.usage(); err != nil {
		return err
	}
	u.result.Delete.Handles = u.leakedHandles()
	if err := u.noteErrors(); err != nil {
		return err
	}
	u.reset()
	u.running.Kill()
	if err := u.start(ctx); err != nil {
		return err
	}
	synced := false
	ok, err := u.await(ctx, u.options.patience, func() string {
		return fmt.Sprintf("restart: %d frontends missing", u.tracker.Missing())
	}, func(ctx context.Context) (bool, error) {
		if u.tracker.Missing() > 0 || synced {
			return u.tracker.Missing() == 0, nil
		}
		syncs, err := u.running.Syncs(ctx)
		synced = syncs > 0
		return false, err
	})
	if err != nil {
		return err
	}
	if ok {
		u.result.Restart.Complete = seconds(time.Since(u.running.Started))
	}
	if err := u.quiet(ctx, 2*idlePeriod); err != nil {
		return err
	}
	u.result.Restart.Calls, u.result.Restart.Dark = u.calls(), darkOf(u.hns.Emulator)
	return nil
}

// deleteAll deletes the Services, waits until HNS is empty, and stops the program.
func (u *run) deleteAll(ctx context.Context) error {
	begin := time.Now()
	u.tracker.Forget(u.services...)
	if err := u.cluster.Delete(ctx, u.services...); err != nil {
		return err
	}
	d := &u.result.Delete
	var looked time.Time
	_, err := u.await(ctx, u.options.leave, func() string {
		return fmt.Sprintf("all Services deleted: %d endpoints and %d load balancers left", d.Endpoints, d.LoadBalancers)
	}, func(context.Context) (bool, error) {
		if time.Since(looked) < lookEvery {
			return false, nil
		}
		looked = time.Now()
		d.Endpoints, d.LoadBalancers = u.tracker.Surplus(u.hns.State())
		return d.Endpoints+d.LoadBalancers == 0, nil
	})
	if err != nil {
		return err
	}
	if d.Endpoints+d.LoadBalancers == 0 {
		d.Complete = seconds(time.Since(begin))
	}
	if err := u.quiet(ctx, quietFor*4); err != nil {
		return err
	}
	d.Handles += u.leakedHandles()
	for _, n := range u.hns.Server.Handles().AfterFailure {
		d.HandlesAfterFailure += n
	}
	err = u.noteErrors()
	u.running.Stop()
	return err
}

// leakedHandles is right when no call is on its way: of a program that is never quiet it counts those in use, too. The handle of
// the watch, which a program that runs keeps, does not count.
func (u *run) leakedHandles() int {
	handles := u.hns.Server.Handles()
	return handles.Leaked() - min(1, handles.Open["Callback"])
}
