// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"math/rand/v2"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Faults are things that go wrong with HNS, each from a report. They can be switched at
// any time with SetFaults; the zero value is a machine on which nothing goes wrong beyond
// the quirks of its release. What others do to HNS is on the host side: ReplaceNetwork,
// SetManagementIP, DeleteBehind, BreakDataPath, Restart.
type Faults struct {
	// DeleteFailsOnce: the first delete of each load balancer fails and changes nothing;
	// the second works. Server 2019 [A: k8s issue 113524]. The code is not known; the
	// emulator says 0x80004005.
	DeleteFailsOnce bool

	// EndpointDeleteLies: the delete of a remote endpoint succeeds and the endpoint stays
	// [B: Windows-Containers issue 631].
	EndpointDeleteLies bool

	// LeakPorts: a deleted load balancer leaves its port reserved, so that an equal one
	// is refused with 0x803b0013. Server 2019, 17763.8146 [B: k8s PR 137530]. Leaked
	// ports stay after the fault is switched off, until ReleaseLeakedPorts.
	LeakPorts bool

	// HalfMade: a create that fails, for whatever reason, leaves a load balancer without
	// port mappings behind [A: k8s issue 141488].
	HalfMade bool

	// VanishDuringList: the next list loses this many objects between being enumerated
	// and being opened: someone else deletes them [A: hnslib]. It counts down.
	VanishDuringList int

	// NoDataPath: load balancers that are created get no rules in VFP: the object is
	// there and carries nothing [A: networkhealth.ps1]. Deleting and creating it again,
	// with the fault off, or a restart of HNS mends it.
	NoDataPath bool

	// ModifyLies: modify says yes and changes nothing, as Quirks.ModifyLies does always.
	ModifyLies bool

	// NoAdapter: an overlay network finds no adapter, 0x803b0006 [A: hnslib tests].
	NoAdapter bool
}

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
	faults  Faults
	planned map[hnslb.Verb][]planned
	odds    map[hnslb.Verb]float64
	hanging map[hnslb.Verb]int
	hung    *hungCalls
}

// hungCalls are the calls that wait for one release.
type hungCalls struct {
	released chan struct{}
	// abandoned writes, whose callers have gone; they happen on release.
	abandoned []func()
}

func newTrouble() trouble {
	return trouble{
		planned: map[hnslb.Verb][]planned{},
		odds:    map[hnslb.Verb]float64{},
		hanging: map[hnslb.Verb]int{},
	}
}

// Faults returns the faults as they stand.
func (e *Emulator) Faults() Faults {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.trouble.faults
}

// SetFaults switches faults on and off.
func (e *Emulator) SetFaults(f Faults) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trouble.faults = f
}

// ClearFaults ends everything that SetFaults, FailNext, LoseAnswers, FailEach and Hang set
// up. What went wrong already stays wrong.
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
	if len(verbs) == 0 {
		verbs = slices.DeleteFunc(hnslb.Verbs(), func(v hnslb.Verb) bool { return !v.IsWrite() })
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range verbs {
		e.trouble.odds[v] = probability
	}
}

// fate draws what becomes of a call.
func (t *trouble) fate(v hnslb.Verb, chance *rand.Rand) fate {
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
// context ends, ReleaseHung is called or HNS stops. A write whose caller gave up is
// carried out on release, unless Quirks.AbandonedWritesLost [A: endpoint deletes hang for
// ever at times, antrea and Azure CNI].
func (e *Emulator) Hang(v hnslb.Verb, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trouble.hanging[v] = n
	if e.trouble.hung == nil {
		e.trouble.hung = &hungCalls{released: make(chan struct{})}
	}
}

// vanishing returns how many of the listed objects vanish during the list.
func (t *trouble) vanishing(listed int) int {
	n := min(t.faults.VanishDuringList, listed)
	t.faults.VanishDuringList -= n
	return n
}

// hang returns what the call has to wait for, nil if it does not hang.
func (t *trouble) hang(v hnslb.Verb) *hungCalls {
	n := t.hanging[v]
	if n == 0 {
		return nil
	}
	if n > 0 {
		t.hanging[v] = n - 1
	}
	return t.hung
}

// ReleaseHung lets all hanging calls go on and ends the fault. It returns when the writes
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
	hung := e.trouble.hung
	if hung == nil {
		return nil
	}
	e.trouble.hung = nil
	clear(e.trouble.hanging)
	close(hung.released)
	return hung.abandoned
}

// abandon keeps a hung write for its release.
func (e *Emulator) abandon(c call, hung *hungCalls, write func()) {
	if !c.writes() || e.profile.Quirks.AbandonedWritesLost {
		return
	}
	e.mu.Lock()
	if e.trouble.hung == hung {
		hung.abandoned = append(hung.abandoned, write)
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	write() // released in the same moment
}
