// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"testing"
	"testing/synctest"
)

// TestNews: which notifications are passed on, and as what.
func TestNews(t *testing.T) {
	for _, tc := range []struct {
		name  string
		kinds []notificationKind
		stop  bool
		// changed and closed are what the receiver finds.
		changed, closed bool
	}{
		{name: "nothing"},
		{name: "network created", kinds: []notificationKind{networkCreated}, changed: true},
		{name: "network deleted", kinds: []notificationKind{networkDeleted}, changed: true},
		{name: "networks, more than the receiver has taken", kinds: []notificationKind{networkDeleted, networkCreated, networkDeleted}, changed: true},
		{name: "with flags", kinds: []notificationKind{0x80000000 | networkDeleted}, changed: true},
		{name: "before it happens", kinds: []notificationKind{1, 3}},
		{name: "namespaces and endpoints", kinds: []notificationKind{5, 6, 9, 0x10, 0x11, 0x12}},
		{name: "service gone", kinds: []notificationKind{serviceDisconnect}, closed: true},
		{name: "networks, then gone", kinds: []notificationKind{networkDeleted, serviceDisconnect}, changed: true, closed: true},
		{name: "stopped", stop: true, closed: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, stop, changed := newNews(), make(chan struct{}), make(chan struct{}, 1)
				go func() {
					n.forward(stop, changed)
					close(changed)
				}()
				for _, k := range tc.kinds {
					n.add(k)
				}
				if tc.stop {
					close(stop)
				} else {
					defer close(stop)
				}
				synctest.Wait()
				var got, closed bool
				for range 2 { // at most a value and the end
					select {
					case _, open := <-changed:
						got, closed = got || open, !open
					default:
					}
				}
				if got != tc.changed || closed != tc.closed {
					t.Errorf("changed %v, closed %v; want %v, %v", got, closed, tc.changed, tc.closed)
				}
			})
		})
	}
}
