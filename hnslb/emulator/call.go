// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// call is one driver call on its way through HNS.
type call struct {
	// verb is empty for what no verb stands for; such a call is neither counted nor
	// subject to faults of a verb.
	verb hnslb.Verb
	// look marks a read without a verb, or of one.
	look bool
	// object names what the call is about; it is asked only when the call fails.
	object func() string
	// failed runs, under the lock, when HNS did not carry the call out. May be nil.
	failed func()
	epoch  int
	// takes is how long a write takes.
	takes time.Duration
}

type answer[T any] struct {
	value T
	err   error
}

// run takes a call through HNS: arrival, hanging, latency, faults, then op under the lock.
func run[T any](ctx context.Context, e *Emulator, c call, op func() (T, error)) (T, error) {
	a := attempt(ctx, e, c, op)
	if a.err == nil {
		return a.value, nil
	}
	if c.verb != "" {
		e.mu.Lock()
		e.counts.errors[c.verb]++
		e.mu.Unlock()
	}
	var none T
	return none, c.wrap(a.err)
}

func attempt[T any](ctx context.Context, e *Emulator, c call, op func() (T, error)) answer[T] {
	if err := ctx.Err(); err != nil {
		return answer[T]{err: err}
	}
	hung, err := e.arrive(&c)
	if err != nil {
		return answer[T]{err: err}
	}
	if hung != nil {
		if err := e.outwait(ctx, c, hung, func() { carryOut(e, c, op) }); err != nil {
			return answer[T]{err: err}
		}
	}
	if !c.writes() {
		return read(ctx, e, c, op)
	}
	if c.takes = e.takes(c); e.writeTime(c) > 0 {
		return slowWrite(ctx, e, c, op)
	}
	return carryOut(e, c, op)
}

// read waits for as long as a read takes and looks, or the other way round.
func read[T any](ctx context.Context, e *Emulator, c call, op func() (T, error)) answer[T] {
	takes, lookFirst := e.readTime(c)
	var early answer[T]
	if lookFirst {
		early = carryOut(e, c, op)
	}
	if takes > 0 {
		timer := e.clock.NewTimer(takes)
		defer timer.Stop()
		select {
		case <-timer.C():
		case <-ctx.Done():
			return answer[T]{err: ctx.Err()}
		}
	}
	switch {
	case !lookFirst:
		return carryOut(e, c, op)
	case early.err == nil && e.stoppedSince(c):
		return answer[T]{err: refuse(hnslb.ResultCallFailed, "")}
	}
	return early
}

// readTime returns how long a read takes, and whether it looks before that time or after.
func (e *Emulator) readTime(c call) (takes time.Duration, lookFirst bool) {
	takes = e.takes(c)
	if c.verb != hnslb.VerbEndpoints && c.verb != hnslb.VerbLoadBalancers {
		return takes, false
	}
	f := e.Faults()
	return takes + f.ListsTake, f.ListsShowStart
}

// writeTime returns how long a write takes that begins now.
func (e *Emulator) writeTime(c call) time.Duration { return c.takes + e.Faults().WritesTake }

// stoppedSince tells whether HNS was stopped since the call arrived.
func (e *Emulator) stoppedSince(c call) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return c.epoch != e.epoch
}

// writes tells whether the call changes HNS.
func (c call) writes() bool { return !c.look && c.verb.IsWrite() }

// arrive counts the call and tells whether it hangs.
func (e *Emulator) arrive(c *call) (*hungCalls, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.verb != "" {
		e.counts.calls[c.verb]++
	}
	if e.stopped {
		return nil, refuse(cmp.Or(e.trouble.faults.StoppedCode, hnslb.ResultServerUnavailable), "")
	}
	c.epoch = e.epoch
	if hung := e.trouble.hang(*c); hung != nil {
		return hung, nil
	}
	return e.delay(*c), nil
}

// slowWrite waits for its turn and for the time a write takes. It works on a goroutine of
// its own, because HNS goes on when the caller does not wait any longer.
func slowWrite[T any](ctx context.Context, e *Emulator, c call, op func() (T, error)) answer[T] {
	working := context.WithoutCancel(ctx)
	if e.profile.Quirks.AbandonedWritesLost {
		working = ctx
	}
	done := make(chan answer[T], 1)
	go func() { done <- takeTurn(working, e, c, op) }()
	select {
	case a := <-done:
		return a
	case <-ctx.Done():
		return answer[T]{err: ctx.Err()}
	}
}

func takeTurn[T any](ctx context.Context, e *Emulator, c call, op func() (T, error)) answer[T] {
	if err := e.gate.Acquire(ctx, 1); err != nil {
		return answer[T]{err: err}
	}
	defer e.gate.Release(1)
	start := e.clock.Now()
	timer := e.clock.NewTimer(e.writeTime(c))
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-ctx.Done():
		return answer[T]{err: ctx.Err()}
	}
	a := carryOut(e, c, op)
	e.mu.Lock()
	e.counts.writing += e.clock.Since(start)
	e.mu.Unlock()
	return a
}

// carryOut does the work, unless HNS was stopped meanwhile or a fault strikes.
func carryOut[T any](e *Emulator, c call, op func() (T, error)) answer[T] {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.epoch != e.epoch {
		return answer[T]{err: refuse(hnslb.ResultCallFailed, "")}
	}
	fate := e.trouble.fate(c, e.chance)
	var a answer[T]
	if fate.code == 0 || fate.done {
		a.value, a.err = op()
	}
	if a.err == nil && fate.code != 0 {
		a.err = refuse(fate.code, "")
		if fate.done {
			return a
		}
	}
	if a.err != nil && c.failed != nil {
		c.failed()
	}
	return a
}

// wrap makes the error that the driver returns.
func (c call) wrap(err error) error {
	var own *hnslb.Error
	var r *refusal
	switch {
	case errors.As(err, &own):
		return err
	case errors.As(err, &r):
		return hnslb.NewError(c.verb, c.object(), r.code, r.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &hnslb.Error{Verb: c.verb, Object: c.object(), Class: hnslb.Timeout, Err: err}
	}
	return &hnslb.Error{Verb: c.verb, Object: c.object(), Class: hnslb.Other, Err: err}
}
