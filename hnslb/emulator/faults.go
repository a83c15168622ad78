// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"context"
	"math/rand/v2"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// planned is a failure that waits for its call.
type planned struct {
	left int
	fate fate
}

// fate is what a fault does to a call: nothing when code is 0.
type fate struct {
	code hnslb.HRESULT
	// done: HNS carried the call out before it failed.
	done bool
}

// trouble is all that is set to go wrong.
type trouble struct {
	faults  profiles.Faults
	planned map[hnslb.Verb][]planned
	odds    map[hnslb.Verb]float64
	// failing are the verbs of which every n-th call fails, delayed those of which it is late.
	failing, delayed map[hnslb.Verb]*rhythm
	// late are the calls that are late now, lates all of them that were.
	late  map[*hungCalls]bool
	lates []DelayedCall
	// refused are objects that HNS refuses, stuck those whose writes hang.
	refused map[string]hnslb.HRESULT
	stuck   map[string]bool
	hanging map[hnslb.Verb]int
	hung    *hungCalls
}

// hungCalls are the calls that wait for one release.
type hungCalls struct {
	released chan struct{}
	over     bool // they were released
	// abandoned writes, whose callers have gone; they happen on release.
	abandoned []func()
}

func newTrouble() trouble {
	return trouble{
		planned: map[hnslb.Verb][]planned{},
		odds:    map[hnslb.Verb]float64{},
		failing: map[hnslb.Verb]*rhythm{},
		delayed: map[hnslb.Verb]*rhythm{},
		late:    map[*hungCalls]bool{},
		refused: map[string]hnslb.HRESULT{},
		stuck:   map[string]bool{},
		hanging: map[hnslb.Verb]int{},
	}
}

// Faults returns the faults as they stand.
func (e *Emulator) Faults() profiles.Faults {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.trouble.faults
}

// SetFaults switches faults on and off.
func (e *Emulator) SetFaults(f profiles.Faults) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trouble.faults = f
}

// ClearFaults ends everything that SetFaults, FailNext, LoseAnswers, FailEach, FailEvery,
// LoseEvery, DelayEvery, Refuse, Hang and HangOn set up. What went wrong already stays wrong.
func (e *Emulator) ClearFaults() {
	e.ReleaseHung()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trouble = newTrouble()
}

// FailNext makes the next n calls of a verb fail with a code, unperformed. Several plans
// for one verb follow one another.
func (e *Emulator) FailNext(v hnslb.Verb, n int, code hnslb.HRESULT) {
	e.plan(v, planned{left: n, fate: fate{code: code}})
}

// LoseAnswers makes the next n calls of a verb be carried out and fail all the same, with
// 0x800706be: HNS died in the call, after the work (law: unknown is not absent).
func (e *Emulator) LoseAnswers(v hnslb.Verb, n int) {
	e.plan(v, planned{left: n, fate: fate{code: hnslb.ResultCallFailed, done: true}})
}

func (e *Emulator) plan(v hnslb.Verb, p planned) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.left > 0 {
		e.trouble.planned[v] = append(e.trouble.planned[v], p)
	}
}

// FailEach makes each call of the verbs, or of all write verbs when none is named, fail
// with a probability, by the seed: with 0x80004005 or an unavailable service and nothing
// done, or with 0x800706be, where a write may have been done or not. Probability 0 ends it.
func (e *Emulator) FailEach(probability float64, verbs ...hnslb.Verb) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range orWrites(verbs) {
		e.trouble.odds[v] = probability
	}
}

func orWrites(verbs []hnslb.Verb) []hnslb.Verb {
	if len(verbs) > 0 {
		return verbs
	}
	return slices.DeleteFunc(hnslb.Verbs(), func(v hnslb.Verb) bool { return !v.IsWrite() })
}

// Refuse makes HNS refuse to create or change an object with a code, each time, until it is
// called with code 0. The object is named as in errors: an endpoint by its address, a load
// balancer by its frontend. A listener, a port that leaked or the rule of another program
// does so to one object and not to others.
func (e *Emulator) Refuse(object string, code hnslb.HRESULT) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if code == 0 {
		delete(e.trouble.refused, object)
		return
	}
	e.trouble.refused[object] = code
}

// refusal returns the code with which HNS refuses the object of a call, 0 if it does not.
func (t *trouble) refusal(c call) hnslb.HRESULT {
	if len(t.refused) == 0 || !c.writes() || isDelete(c.verb) {
		return 0
	}
	return t.refused[c.object()]
}

func isDelete(v hnslb.Verb) bool {
	return v == hnslb.VerbDeleteEndpoint || v == hnslb.VerbDeleteLoadBalancer
}

// fate draws what becomes of a call.
func (t *trouble) fate(c call, chance *rand.Rand) fate {
	v := c.verb
	if code := t.refusal(c); code != 0 {
		return fate{code: code}
	}
	if strike := t.failing[v].strike(); strike > 0 {
		return fate{code: hnslb.ResultCallFailed, done: t.failing[v].done(strike)}
	}
	if plans := t.planned[v]; len(plans) > 0 {
		f := plans[0].fate
		plans[0].left--
		if plans[0].left == 0 {
			t.planned[v] = plans[1:]
		}
		return f
	}
	if p := t.odds[v]; p <= 0 || chance.Float64() >= p {
		return fate{}
	}
	switch chance.IntN(4) {
	case 0:
		return fate{code: resultFail}
	case 1:
		return fate{code: hnslb.ResultServerUnavailable}
	case 2:
		return fate{code: hnslb.ResultCallFailed}
	}
	return fate{code: hnslb.ResultCallFailed, done: true}
}

// Hang makes the next n calls of a verb hang, all of them when n is negative, until their
// context ends (unless Faults.DeafHangs), ReleaseHung is called or HNS stops. A write whose caller gave up is
// carried out on release, unless Quirks.AbandonedWritesLost [A: endpoint deletes hang for
// ever at times, antrea and Azure CNI].
func (e *Emulator) Hang(v hnslb.Verb, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trouble.hanging[v] = n
	e.trouble.expectHung()
}

// HangOn makes every write about one object hang as Hang does: an HNS that is stuck on one
// endpoint or load balancer and serves the others [A: antrea and Azure CNI bound the delete
// of each endpoint for this]. The object is named as in Refuse; a delete by the ID.
func (e *Emulator) HangOn(object string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trouble.stuck[object] = true
	e.trouble.expectHung()
}

// expectHung makes room for calls that hang.
func (t *trouble) expectHung() {
	if t.hung == nil {
		t.hung = &hungCalls{released: make(chan struct{})}
	}
}

// vanishing returns how many of the listed objects vanish during the list.
func (t *trouble) vanishing(listed int) int {
	n := min(t.faults.VanishDuringList, listed)
	t.faults.VanishDuringList -= n
	return n
}

// hang returns what the call has to wait for, nil if it does not hang.
func (t *trouble) hang(c call) *hungCalls {
	if len(t.stuck) > 0 && c.writes() && t.stuck[c.object()] {
		return t.hung
	}
	n := t.hanging[c.verb]
	if n == 0 {
		return nil
	}
	if n > 0 {
		t.hanging[c.verb] = n - 1
	}
	return t.hung
}

// ReleaseHung lets all calls that hang or are late go on and ends the faults. It returns when the writes
// whose callers gave up have been carried out.
func (e *Emulator) ReleaseHung() {
	for _, write := range e.unhang() {
		write()
	}
}

// unhang ends the fault and returns the abandoned writes.
func (e *Emulator) unhang() []func() {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := &e.trouble
	var abandoned []func()
	for late := range t.late {
		abandoned = append(abandoned, late.end()...)
	}
	if t.hung != nil {
		abandoned = append(abandoned, t.hung.end()...)
	}
	t.hung = nil
	clear(t.late)
	clear(t.delayed)
	clear(t.hanging)
	clear(t.stuck)
	return abandoned
}

// end releases the calls, once, and returns the abandoned writes. The emulator's lock is held.
func (h *hungCalls) end() []func() {
	if h.over {
		return nil
	}
	h.over = true
	close(h.released)
	return h.abandoned
}

// outwait waits with a call that hangs until it is released. It returns why the caller need
// not go on, if its context ended before.
func (e *Emulator) outwait(ctx context.Context, c call, hung *hungCalls, write func()) error {
	if e.Faults().DeafHangs {
		<-hung.released
		if ctx.Err() != nil && c.writes() && !e.profile.Quirks.AbandonedWritesLost {
			write()
		}
		return ctx.Err()
	}
	select {
	case <-hung.released:
		return nil
	case <-ctx.Done():
		e.abandon(c, hung, write)
		return ctx.Err()
	}
}

// abandon keeps a hung write for its release.
func (e *Emulator) abandon(c call, hung *hungCalls, write func()) {
	if !c.writes() || e.profile.Quirks.AbandonedWritesLost {
		return
	}
	e.mu.Lock()
	if !hung.over {
		hung.abandoned = append(hung.abandoned, write)
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	write() // released in the same moment
}
