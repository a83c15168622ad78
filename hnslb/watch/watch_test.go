// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	"k8s.io/utils/clock"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/hnslb/watch"
)

const network = "azure"

// The drivers that know less than the emulator does.
type (
	plain    struct{ hnslb.Driver }
	watching struct {
		hnslb.Driver
		hnslb.Watcher
	}
	querying struct {
		hnslb.Driver
		hnslb.ServiceQuerier
	}
)

// cannot is a driver on a machine that offers neither source.
type cannot struct {
	hnslb.Driver
	calls atomic.Int32
}

func (c *cannot) fail(v hnslb.Verb) error {
	c.calls.Add(1)
	return &hnslb.Error{Verb: v, Object: "HNS", Class: hnslb.Unsupported, Err: errors.New("not here")}
}

func (c *cannot) Watch(context.Context) (<-chan struct{}, error) {
	return nil, c.fail(hnslb.VerbWatch)
}

func (c *cannot) ServiceProcess(context.Context) (uint32, error) {
	return 0, c.fail(hnslb.VerbServiceProcess)
}

// bare are the kinds of drivers, by what they can tell.
func bare() map[string]func(e *emulator.Emulator) hnslb.Driver {
	return map[string]func(e *emulator.Emulator) hnslb.Driver{
		"both":          func(e *emulator.Emulator) hnslb.Driver { return e },
		"notifications": func(e *emulator.Emulator) hnslb.Driver { return watching{e, e} },
		"process":       func(e *emulator.Emulator) hnslb.Driver { return querying{e, e} },
		"neither":       func(e *emulator.Emulator) hnslb.Driver { return plain{e} },
		"refusing":      func(e *emulator.Emulator) hnslb.Driver { return &cannot{Driver: e} },
	}
}

// rig runs a watch in a synctest bubble. What is noticed is written down with its time.
type rig struct {
	*testing.T
	e    *emulator.Emulator
	stop func()
	// within is how soon a change must be noticed.
	within time.Duration

	mu      sync.Mutex // guards what follows
	start   time.Time
	heard   []string
	changes []hnslb.Change
}

// begin starts a watch of an emulator with the quirks, and lets its first heartbeat pass.
func begin(t *testing.T, quirks profiles.Quirks, of func(e *emulator.Emulator) hnslb.Driver) *rig {
	t.Helper()
	profile := profiles.WS2025()
	profile.Quirks = quirks
	r := &rig{T: t, e: emulator.New(emulator.Config{Profile: profile})}
	r.within = 2 * time.Second
	r.addNetwork()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	r.restartTime()
	go func() {
		defer close(done)
		watch.Run(ctx, watch.Config{
			Bare: of(r.e), Driver: hnslb.WithTimeout(r.e, time.Second), Network: network,
			Clock: clock.RealClock{}, Logger: klog.Background(),
		}, r.hear)
	}()
	r.stop = func() { cancel(); <-done }
	t.Cleanup(r.stop)
	r.pass(watch.Period)
	r.want("1.5s NetworksChanged")
	r.restartTime()
	return r
}

func (r *rig) restartTime() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start = time.Now()
}

func (r *rig) hear(c hnslb.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, fmt.Sprintf("%v %s", time.Since(r.start), c))
	r.changes = append(r.changes, c)
}

// take returns what was heard since the last time.
func (r *rig) take() (heard []string, changes []hnslb.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	heard, changes = r.heard, r.changes
	r.heard, r.changes = nil, nil
	return heard, changes
}

func (r *rig) addNetwork() {
	r.Helper()
	if _, err := r.e.AddNetwork(emulator.NetworkSpec{Name: network}); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) replaceNetwork() {
	r.Helper()
	if _, err := r.e.ReplaceNetwork(network); err != nil {
		r.Fatal(err)
	}
}

// want compares what was heard since the last time. What both sources say at one time is one.
func (r *rig) want(want ...string) {
	r.Helper()
	heard, _ := r.take()
	if diff := cmp.Diff(want, slices.Compact(heard)); diff != "" {
		r.Errorf("changes (-want +heard):\n%s", diff)
	}
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

// noticed wants a change within two seconds, whatever else is told.
func (r *rig) noticed(what string, want hnslb.Change) {
	r.Helper()
	r.pass(r.within)
	if heard, changes := r.take(); !slices.Contains(changes, want) {
		r.Errorf("%s: heard %q within %v, want %s", what, heard, r.within, want)
	}
}

// TestNoticed: with every driver and whatever HNS keeps back, an outage and a network re-created are noticed within two
// seconds, and so are those that come afterwards.
func TestNoticed(t *testing.T) {
	for name, quirks := range map[string]profiles.Quirks{
		"all told":     {},
		"stop untold":  {StopUntold: true},
		"nothing told": {NoNotifications: true},
	} {
		for kind, of := range bare() {
			t.Run(name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := begin(t, quirks, of)
					if _, watches := of(r.e).(hnslb.Watcher); watches && quirks != (profiles.Quirks{}) && kind != "refusing" {
						// It says that it tells, and does not.
						r.within = 16 * time.Second
					}
					for round := range 3 {
						r.pass(time.Duration(round) * 700 * time.Millisecond) // not in step with the heartbeat
						r.want()
						r.replaceNetwork()
						r.noticed("the network was replaced", hnslb.NetworksChanged)
						r.e.Stop()
						r.noticed("HNS stopped", hnslb.ServiceGone)
						r.e.Start(emulator.RestartOptions{})
						r.noticed("HNS started", hnslb.ServiceCame)
						if err := r.e.DeleteNetwork(network); err != nil {
							t.Fatal(err)
						}
						r.noticed("the network was deleted", hnslb.NetworksChanged)
						r.addNetwork()
						r.noticed("the network was made", hnslb.NetworksChanged)
						r.pass(20 * time.Second)
						r.take()
					}
				})
			})
		}
	}
}

// TestQuickRestart: a restart that is over at once is noticed by a notification or by the process.
func TestQuickRestart(t *testing.T) {
	for _, tc := range []struct {
		name, bare string
		quirks     profiles.Quirks
		want       []string
	}{
		{"all told", "both", profiles.Quirks{}, []string{"0s ServiceGone", "1.5s ServiceCame"}},
		{"all told", "notifications", profiles.Quirks{}, []string{"0s ServiceGone", "1.5s ServiceCame"}},
		{"all told", "process", profiles.Quirks{}, []string{"1.5s ServiceCame"}},
		{"nothing told", "both", profiles.Quirks{NoNotifications: true}, []string{"1.5s ServiceCame"}},
		{"stop untold", "both", profiles.Quirks{StopUntold: true}, []string{"1.5s ServiceCame"}},
		{"nothing told", "neither", profiles.Quirks{}, nil},
	} {
		t.Run(tc.name+"/"+tc.bare, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, tc.quirks, bare()[tc.bare])
				r.e.Restart(emulator.RestartOptions{})
				r.pass(2 * time.Second)
				r.want(tc.want...)
			})
		})
	}
}

// TestOtherNetworks: notifications are about all networks, the heartbeat is about one.
func TestOtherNetworks(t *testing.T) {
	for kind, want := range map[string][]string{"both": {"0s NetworksChanged"}, "process": nil} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, profiles.Quirks{}, bare()[kind])
				if _, err := r.e.AddNetwork(emulator.NetworkSpec{Name: "other"}); err != nil {
					t.Fatal(err)
				}
				r.pass(time.Minute)
				r.want(want...)
			})
		})
	}
}

// TestWatchedAnew: after a restart that HNS did not tell of it has forgotten the watch, so there is a new one, which hears at
// once.
func TestWatchedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, profiles.Quirks{StopUntold: true}, bare()["both"])
		r.e.Stop()
		r.pass(2 * time.Second)
		r.e.Start(emulator.RestartOptions{})
		r.pass(2 * time.Second)
		r.want("1.5s ServiceGone", "3s ServiceCame")
		if err := r.e.DeleteNetwork(network); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.want("4s NetworksChanged")
	})
}

// TestHang: a call without an answer counts as an outage; it is not repeated with each heartbeat, and its late answer ends it.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, profiles.Quirks{}, bare()["neither"])
		r.e.Hang(hnslb.VerbNetwork, -1)
		r.e.ResetCounts()
		r.pass(time.Minute)
		r.want("2.5s ServiceGone")
		if n := r.e.Counts()[hnslb.VerbNetwork]; n < 3 || n > 4 {
			t.Errorf("%d calls in a minute hang", n)
		}
		r.e.ReleaseHung()
		r.e.ClearFaults()
		r.pass(20 * time.Second)
		if heard, changes := r.take(); !slices.Equal(changes, []hnslb.Change{hnslb.ServiceCame}) {
			t.Errorf("after the hang: %q", heard)
		}
	})
}

// TestAnswersThatSayNothing: an error that is neither of these is not taken for an outage or another network.
func TestAnswersThatSayNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, profiles.Quirks{}, bare()["neither"])
		r.e.FailNext(hnslb.VerbNetwork, 5, hnslb.ResultInvalidJSON)
		r.pass(time.Minute)
		r.want()
	})
}

// TestCost: an idle minute costs HNS a query of the network each 1.5 s, and what the machine cannot tell is asked once.
func TestCost(t *testing.T) {
	for kind, of := range bare() {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d hnslb.Driver
				r := begin(t, profiles.Quirks{}, func(e *emulator.Emulator) hnslb.Driver { d = of(e); return d })
				beats := 40
				if _, watches := d.(hnslb.Watcher); watches && kind != "refusing" {
					beats = 4 // HNS tells
				}
				r.e.ResetCounts()
				r.pass(time.Minute)
				r.want()
				if diff := cmp.Diff(map[hnslb.Verb]int{hnslb.VerbNetwork: beats}, r.e.Counts()); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
				if c, ok := d.(*cannot); ok && c.calls.Load() != 2 {
					t.Errorf("a driver that cannot tell was asked %d times", c.calls.Load())
				}
			})
		})
	}
}

// TestStop: nothing is told after the end, and nothing goes on.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, profiles.Quirks{}, bare()["both"])
		r.stop()
		r.e.ResetCounts()
		r.replaceNetwork()
		r.e.Restart(emulator.RestartOptions{})
		r.pass(time.Minute)
		r.want()
		if n := len(r.e.Counts()); n != 0 {
			t.Errorf("calls after the end: %v", r.e.Counts())
		}
	})
}

// TestQuiet: a machine that cannot tell is nothing to complain about.
func TestQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger := ktesting.NewLogger(t, ktesting.NewConfig(ktesting.Verbosity(1), ktesting.BufferLogs(true)))
		e := emulator.New(emulator.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		e.Stop()
		watch.Run(ctx, watch.Config{
			Bare: &cannot{Driver: e}, Driver: e, Network: network, Clock: clock.RealClock{}, Logger: logger,
		}, func(hnslb.Change) {})
		if text := logger.GetSink().(ktesting.Underlier).GetBuffer().String(); text != "" {
			t.Errorf("logged at the usual level:\n%s", text)
		}
	})
}
