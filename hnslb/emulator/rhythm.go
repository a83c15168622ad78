// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// rhythm is a fault that strikes every n-th call of a verb.
type rhythm struct {
	n, seen int
	// done tells whether a call that fails does its work all the same; strikes count from 1.
	done func(strike int) bool
	// by is how late a call is.
	by time.Duration
}

// strike counts a call, and returns which strike it is, 0 if it is none.
func (r *rhythm) strike() int {
	if r == nil || r.n <= 0 {
		return 0
	}
	r.seen++
	if r.seen%r.n > 0 {
		return 0
	}
	return r.seen / r.n
}

// FailEvery makes every n-th call of each of the verbs, or of each write verb when none is
// named, fail with 0x800706be: the first time before the work, the next time after it, and
// so on in turn. It takes the n-th call from now; n 0 ends it.
func (e *Emulator) FailEvery(n int, verbs ...hnslb.Verb) {
	e.failEvery(n, func(strike int) bool { return strike%2 == 0 }, verbs)
}

// LoseEvery is FailEvery, but the work is done each time: only the answer is lost. Of
// FailEvery and LoseEvery a verb has the last one.
func (e *Emulator) LoseEvery(n int, verbs ...hnslb.Verb) {
	e.failEvery(n, func(int) bool { return true }, verbs)
}

func (e *Emulator) failEvery(n int, done func(int) bool, verbs []hnslb.Verb) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range orWrites(verbs) {
		e.trouble.failing[v] = &rhythm{n: n, done: done}
	}
}

// DelayEvery makes every n-th call of each of the verbs, or of each write verb when none is
// named, late: it hangs as one of Hang does, and goes on by itself after a while. Other calls
// do not wait for it. It takes the n-th call from now; n 0 ends it, but not the calls that
// are late already.
func (e *Emulator) DelayEvery(n int, by time.Duration, verbs ...hnslb.Verb) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range orWrites(verbs) {
		e.trouble.delayed[v] = &rhythm{n: n, by: by}
	}
}

// DelayedCall is a call that DelayEvery made late.
type DelayedCall struct {
	Verb hnslb.Verb
	// Object is named as in Refuse, also when the call is a delete.
	Object string
	Begun  time.Time
	By     time.Duration
}

// Delayed returns the calls that DelayEvery made late, in order, since New or ClearFaults.
func (e *Emulator) Delayed() []DelayedCall {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]DelayedCall(nil), e.trouble.lates...)
}

// delay returns what a call waits for whose turn it is to be late, nil for others. The lock
// is held.
func (e *Emulator) delay(c call) *hungCalls {
	r := e.trouble.delayed[c.verb]
	if r.strike() == 0 {
		return nil
	}
	e.trouble.lates = append(e.trouble.lates, DelayedCall{c.verb, e.objectName(c), e.clock.Now(), r.by})
	late := &hungCalls{released: make(chan struct{})}
	e.trouble.late[late] = true
	timer := e.clock.NewTimer(r.by)
	go func() {
		defer timer.Stop()
		select {
		case <-timer.C():
		case <-late.released:
			return
		}
		for _, write := range e.endDelay(late) {
			write()
		}
	}()
	return late
}

func (e *Emulator) endDelay(late *hungCalls) []func() {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.trouble.late, late)
	return late.end()
}

// objectName names what a call is about, which a delete knows by its ID.
func (e *Emulator) objectName(c call) string {
	id := hnslb.NewID(c.object())
	if ep := e.store.endpoints[id]; ep != nil && c.verb == hnslb.VerbDeleteEndpoint {
		return ep.addrs()[0].String()
	}
	if b := e.store.balancers[id]; b != nil && c.verb == hnslb.VerbDeleteLoadBalancer {
		return b.ObjectName()
	}
	return c.object()
}
