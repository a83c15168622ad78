// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

func (r *rig) register() uint64 {
	r.Helper()
	return r.ok("HcnRegisterServiceCallback", 0, "").handle
}

// next wants the kind of the next notification, 0 for none, and how long it takes.
func (r *rig) next(callback uint64, want emulator.NotificationKind, wait time.Duration) {
	r.Helper()
	start := time.Now()
	p := r.ok(nextNotification, callback, "")
	if got := emulator.NotificationKind(p.handle); got != want || time.Since(start) != wait {
		r.Errorf("notification %#x after %v, want %#x after %v", got, time.Since(start), want, wait)
	}
}

func (r *rig) replaceNetwork() {
	r.Helper()
	if _, err := r.e.ReplaceNetwork("azure"); err != nil {
		r.Fatal(err)
	}
}

// TestCallbacks: each callback gets all notifications in order, and its own end.
func TestCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ws2025(t)
		one, two := r.register(), r.register()
		r.s.ResetCalls()
		r.next(one, 0, maxWait)
		r.replaceNetwork()
		for _, callback := range []uint64{one, two} {
			r.next(callback, emulator.NetworkDeleted, 0)
			r.next(callback, emulator.NetworkCreated, 0)
		}
		time.AfterFunc(time.Second, r.replaceNetwork)
		r.next(one, emulator.NetworkDeleted, time.Second)
		r.next(one, emulator.NetworkCreated, 0)
		if calls := r.s.Calls(); len(calls) != 0 {
			t.Errorf("waiting for notifications counts as %v", calls)
		}

		time.AfterFunc(time.Second, func() { r.ok("HcnUnregisterServiceCallback", one, "") })
		r.next(one, 0, time.Second)
		r.fails(resultInvalidHandle, withRecord(r.call(nextNotification, one, "")))
		r.next(two, emulator.NetworkDeleted, 0)
		r.next(two, emulator.NetworkCreated, 0)

		time.AfterFunc(time.Second, r.e.Stop)
		r.next(two, emulator.ServiceDisconnect, time.Second)
		if p := r.call("HcnUnregisterServiceCallback", two, ""); p.code != hnslb.ResultServerUnavailable {
			t.Errorf("unregistering from a stopped service: code 0x%08x", uint32(p.code))
		}
		r.fails(resultInvalidHandle, withRecord(r.call(nextNotification, two, "")))
		if p := r.call("HcnRegisterServiceCallback", 0, ""); p.code != hnslb.ResultServerUnavailable {
			t.Errorf("registering with a stopped service: code 0x%08x", uint32(p.code))
		}

		r.e.Start(emulator.RestartOptions{})
		three := r.register()
		r.replaceNetwork()
		r.next(three, emulator.NetworkDeleted, 0)
		r.s.DropHandles()
		r.fails(resultInvalidHandle, withRecord(r.call(nextNotification, three, "")))
	})
}

// withRecord adds the record that fails asks for: functions of callbacks have none.
func withRecord(p reply) reply {
	return failed(&hnslb.Error{Code: p.code, Err: refuse(p.code, "")})
}

// TestCallbackOutlivesStop: where HNS does not tell of its end, a callback hears nothing any more, and can still be unregistered.
func TestCallbackOutlivesStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		profile := profiles.WS2025()
		profile.Quirks.StopUntold = true
		r := newRig(t, emulator.Config{Profile: profile}, "L2Bridge")
		callback := r.register()
		r.e.Restart(emulator.RestartOptions{})
		r.replaceNetwork()
		r.next(callback, 0, maxWait)
		time.AfterFunc(time.Second, func() {
			if p := r.call("HcnUnregisterServiceCallback", callback, ""); p.code != resultInvalidHandle {
				t.Errorf("unregistering with an old handle: code 0x%08x", uint32(p.code))
			}
		})
		r.next(callback, 0, time.Second)
	})
}

// TestCallbackServerEnds: the end of the server ends the wait.
func TestCallbackServerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := ws2025(t)
		callback := r.register()
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		time.AfterFunc(time.Second, cancel)
		if p := r.s.call(ctx, request{function: nextNotification, handle: callback}); p.handle != 0 || time.Since(start) != time.Second {
			t.Errorf("notification %#x after %v", p.handle, time.Since(start))
		}
	})
}
