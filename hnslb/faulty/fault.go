// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package faulty

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// ErrInjected is the cause of every error that this package makes up.
var ErrInjected = errors.New("injected fault")

// resultFail is E_FAIL, which HNS gives when it has no better code.
const resultFail hnslb.HRESULT = 0x80004005

// Fault says which calls fail, and how.
type Fault struct {
	// Verb that fails; empty for all verbs.
	Verb hnslb.Verb
	// Writes spares the verbs that only read.
	Writes bool
	// Nth fails only the n-th of the calls above, counted from 1.
	Nth int
	// Chance fails each of them with this probability, 0 to 1. With neither Nth nor
	// Chance every one fails.
	Chance float64

	// Class of the error. Empty takes the class of Code; with neither the call is not
	// failed, only delayed.
	Class hnslb.Class
	// Code is the HRESULT of the error. 0 takes one that HNS gives for Class.
	Code hnslb.HRESULT
	// TakesEffect carries the call out before it fails.
	TakesEffect bool
	// Delay comes before all else. It ends early, with Timeout and without effect, when
	// the caller's context does.
	Delay time.Duration
}

// String prints the fault as a name for a test.
func (f Fault) String() string {
	s := string(cmp.Or(f.Verb, "all"))
	if f.Writes {
		s += "/writes"
	}
	if f.Nth > 0 {
		s += fmt.Sprintf("/%d", f.Nth)
	}
	if f.Chance > 0 {
		s += fmt.Sprintf("/chance-%g", f.Chance)
	}
	if f.Delay > 0 {
		s += "/late"
	}
	if c := f.class(); c != "" {
		s += "/" + string(c)
	}
	if f.TakesEffect {
		s += "/takes-effect"
	}
	return s
}

// WithinContract tells whether hnslb.Driver allows the fault: a failed call may have taken
// effect only when its error says that the outcome is unknown. Anything else is a lie
// that only a later list brings to light.
func (f Fault) WithinContract() bool {
	return !f.TakesEffect || hnslb.OutcomeUnknown(f.err("", ""))
}

func (f Fault) class() hnslb.Class {
	if f.Class == "" && f.Code != 0 {
		return hnslb.ClassOf(f.Code)
	}
	return f.Class
}

func (f Fault) err(v hnslb.Verb, object string) *hnslb.Error {
	code := f.Code
	if code == 0 {
		code = codeOf(f.class())
	}
	return &hnslb.Error{Verb: v, Object: object, Class: f.class(), Code: code, Err: ErrInjected}
}

// codeOf returns an HRESULT that HNS gives for the class. A timeout has none.
func codeOf(c hnslb.Class) hnslb.HRESULT {
	switch c {
	case hnslb.NotFound:
		return hnslb.ResultElementNotFound
	case hnslb.PortInUse:
		return hnslb.ResultPortAlreadyExists
	case hnslb.AlreadyExists:
		return hnslb.ResultWin32AlreadyExists
	case hnslb.Unavailable:
		return hnslb.ResultServerUnavailable
	case hnslb.Unsupported:
		return hnslb.ResultNotImplemented
	case hnslb.Denied:
		return hnslb.ResultAccessDenied
	case hnslb.Invalid:
		return hnslb.ResultInvalidArgument
	case hnslb.Other:
		return resultFail
	}
	return 0
}

// covers tells whether the fault is about calls of v at all.
func (f Fault) covers(v hnslb.Verb) bool {
	return (f.Verb == "" || f.Verb == v) && (!f.Writes || v.IsWrite())
}

// draw is a number between 0 and 1 for the n-th call of v under the index-th fault. It
// does not depend on other verbs, so goroutines with verbs of their own do not disturb
// one another's luck.
func draw(seed uint64, index int, v hnslb.Verb, n int) float64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s %d", index, v, n) // a hash takes every write
	return rand.New(rand.NewPCG(seed, h.Sum64())).Float64()
}

// Scenarios lists every single failure: the first call of each verb, with each class,
// before it takes effect and, for writes, after. Set Nth to fail a later call.
func Scenarios() []Fault {
	classes := []hnslb.Class{
		hnslb.NotFound, hnslb.PortInUse, hnslb.AlreadyExists, hnslb.Unavailable,
		hnslb.Unsupported, hnslb.Denied, hnslb.Invalid, hnslb.Timeout, hnslb.Other,
	}
	var all []Fault
	for _, v := range hnslb.Verbs() {
		for _, c := range classes {
			f := Fault{Verb: v, Nth: 1, Class: c}
			all = append(all, f)
			if v.IsWrite() {
				f.TakesEffect = true
				all = append(all, f)
			}
		}
	}
	return all
}
