// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestNotifications: what is told, in order, and what ends a registration.
func TestNotifications(t *testing.T) {
	n := newNode(t, profiles.WS2025(), "L2Bridge")
	var heard []string
	register := func() func() {
		cancel, err := n.OnNotification(func(o emulator.Notification) {
			heard = append(heard, fmt.Sprintf("%#x %s", uint32(o.Kind), o.Network))
		})
		n.must(err)
		return cancel
	}
	want := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, heard); diff != "" {
			t.Errorf("notifications (-want +heard):\n%s", diff)
		}
		heard = nil
	}
	cancel := register()
	made, err := n.AddNetwork(emulator.NetworkSpec{Name: "other"})
	n.must(err)
	want("0x2 " + string(made.ID))
	n.must(n.DeleteNetwork("other"))
	want("0x4 " + string(made.ID))
	again, err := n.ReplaceNetwork("Calico")
	n.must(err)
	want("0x4 "+string(n.net.ID), "0x2 "+string(again.ID))
	_, err = n.AddNetwork(emulator.NetworkSpec{Name: "Calico"})
	if err == nil {
		t.Error("two networks of one name")
	}
	n.local("10.244.1.5")
	want()
	cancel()
	n.must(n.RemoveNetwork(t.Context(), again.ID))
	want()

	cancel = register()
	placed, err := n.PlaceNetwork(t.Context(), emulator.NetworkSpec{Name: "placed"}, "")
	n.must(err)
	want("0x2 " + string(placed.ID))
	n.Stop()
	n.Stop()
	want("0x1000000 ")
	_, err = n.OnNotification(nil)
	wantCode(t, err, hnslb.ResultServerUnavailable)
	n.Start(emulator.RestartOptions{})
	n.must(n.DeleteNetwork("placed"))
	want()
	cancel() // of a registration that has ended
}

// TestUntoldNotifications: the quirks keep back what they say.
func TestUntoldNotifications(t *testing.T) {
	for _, tc := range []struct {
		name   string
		quirks profiles.Quirks
		want   []emulator.NotificationKind
	}{
		{"none", profiles.Quirks{}, []emulator.NotificationKind{emulator.NetworkDeleted, emulator.ServiceDisconnect}},
		{"the stop", profiles.Quirks{StopUntold: true}, []emulator.NotificationKind{emulator.NetworkDeleted}},
		{"all", profiles.Quirks{NoNotifications: true}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			profile := profiles.WS2025()
			profile.Quirks = tc.quirks
			n := newNode(t, profile, "L2Bridge")
			var heard []emulator.NotificationKind
			_, err := n.OnNotification(func(o emulator.Notification) { heard = append(heard, o.Kind) })
			n.must(err)
			n.must(n.DeleteNetwork("Calico"))
			n.Restart(emulator.RestartOptions{})
			_, err = n.AddNetwork(spec("L2Bridge"))
			n.must(err)
			if diff := cmp.Diff(tc.want, heard); diff != "" {
				t.Errorf("notifications (-want +heard):\n%s", diff)
			}
		})
	}
}

// TestWatcher: the emulator is a Watcher, and its service has another process after each stop.
func TestWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, profiles.WS2025(), "L2Bridge")
		ctx, cancel := context.WithCancel(t.Context())
		watch := func() <-chan struct{} {
			t.Helper()
			changed, err := n.Watch(ctx)
			n.must(err)
			return changed
		}
		// state is what a receive would meet.
		state := func(changed <-chan struct{}) string {
			synctest.Wait()
			select {
			case _, open := <-changed:
				if open {
					return "changed"
				}
				return "closed"
			default:
				return "nothing"
			}
		}
		wantState := func(changed <-chan struct{}, want string) {
			t.Helper()
			if got := state(changed); got != want {
				t.Errorf("%s on the channel, want %s", got, want)
			}
		}
		process := func() uint32 {
			t.Helper()
			p, err := n.ServiceProcess(ctx)
			n.must(err)
			return p
		}
		first := watch()
		wantState(first, "nothing")
		for range 3 {
			_, err := n.ReplaceNetwork("Calico")
			n.must(err)
		}
		wantState(first, "changed")
		wantState(first, "nothing")
		before := process()
		n.Stop()
		wantState(first, "closed")
		if process() != 0 {
			t.Error("a stopped service has a process")
		}
		_, err := n.Watch(ctx)
		wantCode(t, err, hnslb.ResultServerUnavailable)
		n.Start(emulator.RestartOptions{})
		if after := process(); after == before || after == 0 {
			t.Errorf("process %d after the restart, %d before", after, before)
		}
		second := watch()
		cancel()
		wantState(second, "closed")
		if _, err := n.Watch(ctx); hnslb.ErrorClass(err) != hnslb.Timeout {
			t.Errorf("Watch after the end: %v", err)
		}
		if _, err := n.ServiceProcess(ctx); hnslb.ErrorClass(err) != hnslb.Timeout {
			t.Errorf("ServiceProcess after the end: %v", err)
		}
		_, err = n.ReplaceNetwork("Calico") // tells nobody who has gone
		n.must(err)
	})
}
