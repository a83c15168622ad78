// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/bulk"
)

const (
	// healServices is how many Services a node has that meets troubles.
	healServices = 20
	// healWithin is how long a program may take: the period of both programs' own syncs comes twice in it.
	healWithin = 2*idlePeriod + 10*time.Second
)

// Healing is what one program makes of one trouble.
type Healing struct {
	Program, Trouble string
	// Healed: HNS came to hold everything as it must. After is how long that took once the trouble was over, 0 when it was so
	// already.
	Healed bool
	After  Seconds
	Dark   Dark
	Writes int
	// Ended is how often the program ended by itself. It is started again at once, as a service manager would do.
	Ended int
}

// healAll lets one program meet every trouble, one after the other on one node.
func (l *lab) healAll(ctx context.Context, o options, name string, say *progress) (all []Healing, err error) {
	title := name + " in trouble"
	say.begin(title)
	u := &run{lab: l, options: o, program: l.programs[name], tracker: bulk.NewTracker(), say: say,
		result: Result{Program: name, Services: healServices, Latency: idle}}
	if err := u.prepare(ctx, title); err != nil {
		return nil, fmt.Errorf("%s: %w", title, err)
	}
	defer func() { err = errors.Join(err, u.abandon(), l.restoreNode(context.WithoutCancel(ctx)), u.hns.Close()) }()
	if err := u.coldStart(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", title, err)
	}
	for _, t := range troubles() {
		h, err := u.heal(ctx, t)
		if err != nil {
			return all, fmt.Errorf("%s: %s: %w", title, t.name, err)
		}
		all = append(all, h)
	}
	return all, nil
}

// heal lets one trouble happen and waits until HNS is as it must be, and quiet. A program that does not manage is started anew
// for the next trouble.
func (u *run) heal(ctx context.Context, t trouble) (Healing, error) {
	h := Healing{Program: u.program.Name, Trouble: t.name}
	if err := u.quiet(ctx, healWithin); err != nil {
		return h, err
	}
	u.reset()
	if err := t.happen(ctx, u); err != nil {
		return h, err
	}
	over := time.Now()
	err := u.healed(ctx, &h)
	if err != nil && (!wait.Interrupted(err) || ctx.Err() != nil) {
		return h, err
	}
	if last, ok := u.tracker.Since(u.services...); err == nil && ok {
		h.Healed, h.After = true, max(0, seconds(last.Sub(over)))
	}
	h.Writes, h.Dark = u.calls().Writes, darkOf(u.hns.Emulator)
	if h.Healed {
		return h, nil
	}
	return h, u.startOver(ctx)
}

// healed waits until HNS holds everything and is quiet, with a program that has synced since it was started.
func (u *run) healed(ctx context.Context, h *Healing) error {
	synced, calls, since := true, -1, time.Now()
	return wait.PollUntilContextTimeout(ctx, pollInterval, healWithin, true, func(poll context.Context) (bool, error) {
		u.say.now(func() string { return fmt.Sprintf("%s: %d frontends missing", h.Trouble, u.tracker.Missing()) })
		if u.hasEnded() {
			h.Ended++
			synced, calls = false, -1
			return false, u.start(ctx) // it outlives the poll
		}
		if now := u.calls().Total; now != calls {
			calls, since = now, time.Now()
		}
		if !synced {
			syncs, err := u.running.Syncs(poll)
			if err != nil && !u.hasEnded() {
				return false, err
			}
			synced = err == nil && syncs > 0
			return false, nil
		}
		return u.tracker.Missing() == 0 && time.Since(since) >= quietFor, nil
	})
}

func (u *run) hasEnded() bool {
	select {
	case <-u.running.Done():
		return true
	default:
		return false
	}
}

// startOver makes HNS as it must be by starting the program anew.
func (u *run) startOver(ctx context.Context) error {
	u.running.Kill()
	if err := u.start(ctx); err != nil {
		return err
	}
	ok, err := u.await(ctx, u.options.patience, func() string {
		return fmt.Sprintf("start over: %d frontends missing", u.tracker.Missing())
	}, func(context.Context) (bool, error) { return u.tracker.Missing() == 0, nil })
	if err == nil && !ok {
		err = fmt.Errorf("%s does not recover by a new start either", u.program.Name)
	}
	return err
}
