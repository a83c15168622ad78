// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxAbandoned is how many abandoned calls may hang before further calls are refused.
	// Each holds an OS thread here and a thread in HNS, whose watchdog calls 200 suspicious
	// (docs/hns.md, Performance and concurrency).
	maxAbandoned = 16
	// listFactor is how much longer a list may take than another call: it is up to three
	// HNS calls per object, the others are five at most.
	listFactor = 10
)

// WithTimeout returns a Driver that ends each call of d after perCall, or when the caller's
// context ends, whichever is first. The two lists may take ten times as long.
//
// HNS calls cannot be cancelled, and HNS was seen to hang forever in some of them. So a
// call runs on a goroutine of its own and is left behind when its time is up:
//   - The caller gets class Timeout. The call may still take effect, even much later.
//   - Its late answer is thrown away. An object made that late is found by the next list.
//   - Until it returns, further calls for the same object are refused at once with class
//     Timeout and without reaching d, so that one object holds one thread at most.
//   - While 16 calls hang, further calls are refused at once with class Unavailable and
//     without reaching d. Calls go through again when one of the hanging ones returns.
//   - The slices of an argument must not be changed afterwards, since a call left behind
//     may still read them.
//
// Calls that do return in time pass through unchanged, errors included.
func WithTimeout(d Driver, perCall time.Duration) Driver {
	t := &timeoutDriver{perCall: perCall, hanging: map[callName]bool{}}
	return Intercept(d, t.around)
}

// timeoutDriver are what WithTimeout knows of the calls in flight.
type timeoutDriver struct {
	perCall time.Duration
	// running counts calls that d has not answered, awaited those whose caller still
	// waits. The difference hangs.
	running, awaited atomic.Int64

	mu sync.Mutex
	// hanging are the calls that were left behind.
	hanging map[callName]bool
}

// hasHangingCall tells whether an earlier call for the object of a write has not returned.
func (t *timeoutDriver) hasHangingCall(n callName) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return n.verb.IsWrite() && t.hanging[n]
}

// leaveBehind notes that a call was left behind, unless it returned at the last moment.
func (t *timeoutDriver) leaveBehind(n callName, returned <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-returned:
	default:
		t.hanging[n] = true
	}
}

func (t *timeoutDriver) returned(n callName, returned chan<- struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(returned)
	delete(t.hanging, n)
}

// limit is the time that a verb may take.
func (t *timeoutDriver) limit(v Verb) time.Duration {
	if v == VerbEndpoints || v == VerbLoadBalancers {
		return listFactor * t.perCall
	}
	return t.perCall
}

// callName is what an error says about the call.
type callName struct {
	verb   Verb
	object string
}

func (n callName) fail(c Class, cause error) *Error {
	return &Error{Verb: n.verb, Object: n.object, Class: c, Err: cause}
}

// around makes a call and waits for it as long as its verb may take.
func (t *timeoutDriver) around(ctx context.Context, c Call, next Next) (any, error) {
	n := callName{c.Verb, c.Object}
	if hanging := t.running.Load() - t.awaited.Load(); hanging >= maxAbandoned {
		return nil, n.fail(Unavailable, fmt.Errorf("HNS not responding: %d earlier calls have not returned", hanging))
	}
	if t.hasHangingCall(n) {
		return nil, n.fail(Timeout, errors.New("an earlier call for this object has not returned"))
	}
	limit := t.limit(n.verb)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v: %w", limit, context.DeadlineExceeded))
	defer cancel()
	if ctx.Err() != nil {
		return nil, n.fail(Timeout, context.Cause(ctx))
	}

	type answer struct {
		value any
		err   error
	}
	done := make(chan answer, 1) // room for one, so that a late answer does not block
	returned := make(chan struct{})
	t.awaited.Add(1)
	defer t.awaited.Add(-1)
	t.running.Add(1)
	go func() {
		value, err := next(ctx)
		// Before the answer, so that a caller who has it never counts as hanging.
		t.running.Add(-1)
		t.returned(n, returned)
		done <- answer{value, err}
	}()

	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
	}
	select {
	case a := <-done: // both at once: what is known is worth more
		return a.value, a.err
	default:
		t.leaveBehind(n, returned)
		return nil, n.fail(Timeout, context.Cause(ctx))
	}
}
