// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/proxier"
)

// inFlight counts the writes that are in progress.
type inFlight struct {
	mu        sync.Mutex
	now, most int
}

func (d *inFlight) begin() func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now++
	d.most = max(d.most, d.now)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.now--
	}
}

// around counts the creates of d.
func (d *inFlight) around(inner hnslb.Driver) hnslb.Driver {
	return hnslb.Intercept(inner, func(ctx context.Context, c hnslb.Call, next hnslb.Next) (any, error) {
		if c.Verb == hnslb.VerbCreateEndpoint || c.Verb == hnslb.VerbCreateLoadBalancer {
			defer d.begin()()
		}
		return next(ctx)
	})
}

// TestSlowServer2019: each write takes 30 s, as on a busy Server 2019. Calls do not pile up in
// HNS, none counts as lost, and all is in force in the end.
func TestSlowServer2019(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNode(t, "L2Bridge", profiles.WS2019())
		w.hns.SetFaults(profiles.Faults{WritesTake: 31 * time.Second})
		for n := range 5 {
			w.serves(n, nil, 11+n)
		}
		d := &inFlight{}
		w.tweak = func(c *proxier.Config) { c.Driver = d.around(c.Driver) }
		w.start()
		defer w.stop()
		failing := map[string]bool{}
		for range 60 {
			w.settle(15 * time.Second)
			for _, row := range w.proxy.Table().Rows() {
				if row.State == proxier.Failing {
					failing[fmt.Sprint(row.Frontend.Key, ": ", row.Reason)] = true
				}
			}
		}
		if len(failing) > 0 {
			t.Errorf("failing at times: %v", slices.Sorted(maps.Keys(failing)))
		}
		w.wantState(proxier.Programmed)
		if d.most > 4 {
			t.Errorf("%d writes under way at once, want a few while it learns how slow HNS is", d.most)
		}
		w.hns.SetFaults(profiles.Faults{})
		w.settle(time.Hour)
		w.lawful()
	})
}

// TestCallsAtOnce: an old HNS gets one write at a time, unless the operator says otherwise.
func TestCallsAtOnce(t *testing.T) {
	for _, tc := range []struct {
		profile profiles.Profile
		given   int
		want    int
	}{
		{profiles.WS2019(), 0, 1}, {profiles.WS2019(), 2, 2}, {profiles.WS2022(), 0, 2}, {profiles.WS2022(), 1, 1}, {profiles.WS2025(), 3, 3},
	} {
		t.Run(fmt.Sprint(tc.profile.Name, "/", tc.given), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newNode(t, "L2Bridge", tc.profile)
				w.hns = emulator.New(emulator.Config{Profile: tc.profile, Latency: emulator.WS2022Latency()})
				w.addNetwork()
				for n := range 5 {
					w.serves(n, nil, 11, 12, 13, 14)
				}
				d := &inFlight{}
				w.tweak = func(c *proxier.Config) { c.Driver, c.MaxConcurrentCalls = d.around(c.Driver), tc.given }
				w.start()
				defer w.stop()
				w.settle(10 * time.Second)
				if d.most != tc.want {
					t.Errorf("%d writes at once, want %d", d.most, tc.want)
				}
				w.wantState(proxier.Programmed)
			})
		})
	}
}

// TestUnfit: what an HNS cannot do at all ends the program with the reason, and nothing is
// written.
func TestUnfit(t *testing.T) {
	for _, tc := range []struct {
		name, network string
		version       hnslb.Version
		dsr           bool
		want          string
	}{
		{"fit", "Overlay", hnslb.Version{Major: 9, Minor: 5}, true, ""},
		{"no DSR asked for", "L2Bridge", hnslb.Version{Major: 9, Minor: 2}, false, ""},
		{"no DSR", "L2Bridge", hnslb.Version{Major: 9, Minor: 2}, true, "--enable-dsr"},
		{"no DSR on 10.1", "L2Bridge", hnslb.Version{Major: 10, Minor: 1}, true, "--enable-dsr"},
		{"no V2 API", "L2Bridge", hnslb.Version{Major: 9, Minor: 1}, false, "HCN"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				profile := profiles.WS2019()
				profile.Version = tc.version
				w := newNode(t, tc.network, profile)
				w.serves(1, nil, 11)
				w.tweak = func(c *proxier.Config) {
					c.Options.DSR = tc.dsr
					c.CheckCompatible = c.Options.CheckCompatible
				}
				w.start()
				w.settle(5 * time.Second)
				err := w.ended()
				if writes := w.writes(); tc.want != "" && len(writes) > 0 {
					t.Errorf("%v written", writes)
				}
				if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
					t.Errorf("it ended with %v, want something about %q", err, tc.want)
				}
			})
		})
	}
}
