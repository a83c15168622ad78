// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/drivertest"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// mortal passes calls on until the process that makes them is killed in one of them: before
// HNS carried it out or after. It keeps the journal as it was in that moment.
type mortal struct {
	journal string
	// at is the call that the process is killed in, after tells that HNS carries it out.
	at    int
	after bool

	mu      sync.Mutex
	calls   []hnslb.Verb
	content []byte
}

var errKilled = errors.New("killed")

// dies counts a call and tells whether it is the last one of the process, or comes after it.
func (m *mortal) dies(v hnslb.Verb) (last, dead bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, v)
	if len(m.calls) == m.at {
		m.content, _ = os.ReadFile(m.journal) // none when there is none yet
	}
	return len(m.calls) == m.at, len(m.calls) > m.at
}

// around stands between the process and d.
func (m *mortal) around(d hnslb.Driver) hnslb.Driver {
	return hnslb.Intercept(d, func(ctx context.Context, c hnslb.Call, next hnslb.Next) (any, error) {
		last, dead := m.dies(c.Verb)
		if !last && !dead {
			return next(ctx)
		}
		if last && m.after {
			_, _ = next(ctx) // nobody hears of it
		}
		return nil, &hnslb.Error{Verb: c.Verb, Object: "any", Class: hnslb.Unavailable, Err: errKilled}
	})
}

// callsOf returns the calls of a whole run.
func callsOf(t *testing.T, profile profiles.Profile) []hnslb.Verb {
	t.Helper()
	n := newNode(t, profile, "L2Bridge")
	c := n.config(t.TempDir())
	m := &mortal{journal: c.Journal, at: 1 << 30}
	c.Driver = m.around(n)
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return m.calls
}

// troubled is a release on which what is left is hardest to remove.
func troubled() profiles.Profile {
	p := profiles.WS2025()
	p.MaxEndpoints = 7 // so that little is made to find it
	p.Faults = profiles.Faults{DeleteFailsOnce: true, HalfMade: true}
	return p
}

// TestKilled kills the process in each call of a run. The next run removes what is left, and
// leaves what others have.
func TestKilled(t *testing.T) {
	profile := troubled()
	calls := callsOf(t, profile)
	t.Logf("a run makes %d calls", len(calls))
	for i, verb := range calls {
		for _, after := range []bool{false, true} {
			if after && !verb.IsWrite() {
				continue
			}
			at := i + 1
			n := newNode(t, profile, "L2Bridge")
			c := n.config(t.TempDir())
			m := &mortal{journal: c.Journal, at: at, after: after}
			c.Driver = m.around(n)
			if _, err := Run(t.Context(), c); err == nil {
				t.Errorf("killed in call %d, and no error", at)
			}
			if m.content != nil { // what the dead process did to it afterwards has not happened
				if err := os.WriteFile(c.Journal, m.content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c.Driver = n
			if err := Clean(t.Context(), c); err != nil {
				t.Errorf("killed in call %d (carried out: %t): %v", at, after, err)
			}
			n.wantUntouched(t)
			if t.Failed() {
				t.Fatalf("killed in call %d (carried out: %t)", at, after)
			}
		}
	}
}

// TestFailures fails each call of a run in turn, in each way. What the probe finds is right or
// unknown, and nothing is left.
func TestFailures(t *testing.T) {
	profile := troubled()
	profile.Faults = profiles.Faults{}
	calls := callsOf(t, profile)
	for i, f := range []drivertest.Fault{
		{Class: hnslb.Other}, {Class: hnslb.Invalid}, {Class: hnslb.NotFound}, {Class: hnslb.PortInUse},
		{Class: hnslb.Unavailable, TakesEffect: true}, {Class: hnslb.Timeout, TakesEffect: true}, {Class: hnslb.Other, TakesEffect: true},
	} {
		t.Run(fmt.Sprintf("%s/%t", f.Class, f.TakesEffect), func(t *testing.T) {
			t.Parallel()
			for nth := 1 + i; nth <= len(calls); nth += 7 { // each would take long
				n := newNode(t, profile, "L2Bridge")
				c := n.config(t.TempDir())
				var made atomic.Int64
				c.Driver = drivertest.Fail(n, func(hnslb.Call) drivertest.Fault {
					if made.Add(1) == int64(nth) {
						return f
					}
					return drivertest.Fault{}
				})
				r, err := Run(t.Context(), c)
				n.wantUntouched(t)
				if r == nil {
					if err == nil {
						t.Error("no report and no error")
					}
				} else {
					wantFound(t, profile, r)
				}
				if t.Failed() {
					t.Fatalf("fault %+v in call %d: %v", f, nth, err)
				}
			}
		})
	}
}

// TestManyFailures: with one call in ten failing, and one write in ten losing its answer, the
// probe finds out little, and leaves nothing all the same.
func TestManyFailures(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			n := newNode(t, troubled(), "L2Bridge")
			c := n.config(t.TempDir())
			luck := drivertest.NewLuck(seed)
			c.Driver = drivertest.Fail(n, func(c hnslb.Call) drivertest.Fault {
				switch x := luck.Draw(c.Verb); {
				case x < 0.1:
					return drivertest.Fault{Class: hnslb.Other}
				case x < 0.2 && c.Verb.IsWrite():
					return drivertest.Fault{Class: hnslb.Unavailable, TakesEffect: true}
				}
				return drivertest.Fault{}
			})
			_, _ = Run(t.Context(), c) // it may have failed; what counts is what is left
			c.Driver = n
			if err := Clean(t.Context(), c); err != nil {
				t.Error(err)
			}
			n.wantUntouched(t)
		})
	}
}

// TestTimings: the probe finds how long calls take, and that writes wait for one another.
func TestTimings(t *testing.T) {
	profile := profiles.WS2025()
	for i, v := range hnslb.Verbs() {
		if v == hnslb.VerbFeatures {
			continue
		}
		fast := time.Duration(i+1) * 10 * time.Microsecond
		if v.IsWrite() {
			fast *= 100
		}
		profile.Timings = append(profile.Timings,
			profiles.Timing{Verb: v, Objects: 0, Median: fast, P99: fast}, profiles.Timing{Verb: v, Objects: 100, Median: 3 * fast, P99: 3 * fast})
	}
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, profile, "L2Bridge")
		c := n.config(t.TempDir())
		c.Sizes = []int{0, 150}
		r, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		n.wantUntouched(t)
		if got := r.find(t, "a second write at once").Found; got != waits {
			t.Errorf("a second write: %q", got)
		}
		if got := r.find(t, "a list during a write").Found; got != besides {
			t.Errorf("a list during a write: %q", got)
		}
		byVerb := map[hnslb.Verb][]time.Duration{}
		for _, timing := range r.Profile.Timings {
			if timing.P99 != timing.Median {
				t.Errorf("%+v, and all calls take the same", timing)
			}
			byVerb[timing.Verb] = append(byVerb[timing.Verb], timing.Median)
		}
		want := map[hnslb.Verb][]time.Duration{}
		for _, timing := range profile.Timings {
			want[timing.Verb] = append(want[timing.Verb], timing.Median)
		}
		if diff := cmp.Diff(want, byVerb); diff != "" {
			t.Errorf("timings (-set +found):\n%s", diff)
		}
	})
}

// TestBudget: an HNS that is so slow that many objects would take forever is timed with few.
func TestBudget(t *testing.T) {
	profile := profiles.WS2025()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, profile, "L2Bridge")
		slow := emulator.New(emulator.Config{Profile: profile, Latency: emulator.Latency{Write: 2 * time.Second}})
		if err := slow.Restore(n.before); err != nil {
			t.Fatal(err)
		}
		n.Emulator = slow
		c := n.config(t.TempDir())
		c.Sizes = []int{0, 1000}
		r, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		n.wantUntouched(t)
		if len(r.Untimed) != 1 || r.Untimed[0] != "with 1000 objects: making 1000 objects would take 2h13m20s" {
			t.Errorf("untimed are %q", r.Untimed)
		}
	})
}
