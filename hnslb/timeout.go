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
	// maxAbandoned limits the abandoned calls; beyond it further calls are rejected. Each occupies
	// an OS thread here and a thread in HNS, whose watchdog reports 200 (docs/hns.md, Performance
	// and concurrency).
	maxAbandoned = 16
	// listFactor is how much longer a list may take than another call, since it makes up to three
	// HNS calls per object and other calls at most five in total.
	listFactor = 10
)

// WithTimeout returns a Driver that ends each call of d after perCall, or when the caller's context
// ends. Lists may take ten times as long.
//
// HNS calls cannot be cancelled, and HNS was observed to hang forever in some of them. Each call
// therefore runs on its own goroutine, and is abandoned when its time is up:
//   - The caller gets class Timeout. The call may still take effect, even much later.
//   - Its late answer is thrown away. An object made that late is found by the next list.
//   - Until it returns, further calls for the same object are refused at once with class
//     Timeout and without reaching d, so that one object holds one thread at most.
//   - While 16 calls hang, further calls are refused at once with class Unavailable and
//     without reaching d. Calls go through again when one of the hanging ones returns.
//   - The slices of an argument must not be changed afterwards, since a call left behind
//     may still read them.
//
// Calls that return in time are passed through unchanged, including their errors.
func WithTimeout(d Driver, perCall time.Duration) Driver {
	t := &timeoutDriver{perCall: perCall, hanging: map[callName]bool{}}
	return Intercept(d, t.around)
}

// timeoutDriver tracks the calls in flight of a Driver with a timeout.
type timeoutDriver struct {
	perCall time.Duration
	// running counts the calls that d has not answered, awaited those whose caller still waits. The
	// difference is abandoned.
	running, awaited atomic.Int64

	mu sync.Mutex
	// hanging holds the abandoned calls.
	hanging map[callName]bool
}

// hasHangingCall returns whether an earlier write for the object has not returned.
func (t *timeoutDriver) hasHangingCall(n callName) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return n.verb.IsWrite() && t.hanging[n]
}

// leaveBehind records an abandoned call, unless it has just returned.
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

// limit returns the timeout of a verb.
func (t *timeoutDriver) limit(v Verb) time.Duration {
	if v == VerbEndpoints || v == VerbLoadBalancers {
		return listFactor * t.perCall
	}
	return t.perCall
}

// callName identifies a call in errors.
type callName struct {
	verb   Verb
	object string
}

func (n callName) fail(c Class, cause error) *Error {
	return &Error{Verb: n.verb, Object: n.object, Class: c, Err: cause}
}

// around makes a call and waits for it up to the timeout of its verb.
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
	done := make(chan answer, 1) // buffered, so that a late answer does not block
	returned := make(chan struct{})
	t.awaited.Add(1)
	defer t.awaited.Add(-1)
	t.running.Add(1)
	go func() {
		value, err := next(ctx)
		// Before sending the answer, so that a call whose answer was received never counts as
		// hanging.
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
	case a := <-done: // both at once: prefer the answer
		return a.value, a.err
	default:
		t.leaveBehind(n, returned)
		return nil, n.fail(Timeout, context.Cause(ctx))
	}
}
