// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/health"
	"github.com/prometheus/client_golang/prometheus"
	testingclock "k8s.io/utils/clock/testing"
)

// The proxier reports to a Health, and a Metrics hears of the answers.
var (
	_        proxier.Health = (*health.Health)(nil)
	_        func(code int) = metrics.New(prometheus.NewRegistry()).HealthzServed
	midnight                = time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	v4, v6                  = hnslb.IPv4, hnslb.IPv6
	period                  = 30 * time.Second
)

func get(t *testing.T, h http.Handler, path string) (*httptest.ResponseRecorder, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w, w.Body.String()
}

// TestContract holds codes and bodies of both probes, byte for byte as kube-proxy 1.37 sends
// them; a family that is late says since when and why in addition.
func TestContract(t *testing.T) {
	type step func(*health.Health, *testingclock.FakeClock)
	queued := func(f hnslb.Family) step {
		return func(h *health.Health, c *testingclock.FakeClock) { h.Behind(f, c.Now(), "HNS is away") }
	}
	updated := func(f hnslb.Family) step { return func(h *health.Health, _ *testingclock.FakeClock) { h.Updated(f) } }
	after := func(d time.Duration) step { return func(_ *health.Health, c *testingclock.FakeClock) { c.Step(d) } }
	eligible := func(e bool) step { return func(h *health.Health, _ *testingclock.FakeClock) { h.SetNodeEligible(e) } }

	for _, tt := range []struct {
		name                   string
		steps                  []step
		healthzCode, livezCode int
		healthz, livez         string
	}{{
		name:        "starting on an unknown node",
		healthzCode: 503, livezCode: 200,
		healthz: `{"lastUpdated":"0001-01-01T00:00:00Z","currentTime":"2026-01-02T00:00:00Z","nodeEligible":false,"healthy":true}`,
		livez:   `{"lastUpdated":"2026-01-02T00:00:00Z","currentTime":"2026-01-02T00:00:00Z","healthy":true}`,
	}, {
		name:        "starting, and the first sync gets on",
		steps:       []step{eligible(true), queued(v4), after(time.Hour), queued(v4)},
		healthzCode: 200, livezCode: 200,
		healthz: `{"lastUpdated":"2026-01-02T01:00:00Z","currentTime":"2026-01-02T01:00:00Z","nodeEligible":true,"healthy":true,"status":{"IPv4":{"lastUpdated":"0001-01-01T00:00:00Z","healthy":true}}}`,
		livez:   `{"lastUpdated":"2026-01-02T01:00:00Z","currentTime":"2026-01-02T01:00:00Z","healthy":true,"status":{"IPv4":{"lastUpdated":"0001-01-01T00:00:00Z","healthy":true}}}`,
	}, {
		name:        "starting, and HNS never comes",
		steps:       []step{eligible(true), queued(v4), after(2 * period)},
		healthzCode: 503, livezCode: 503,
		healthz: `{"lastUpdated":"0001-01-01T00:00:00Z","currentTime":"2026-01-02T00:01:00Z","nodeEligible":true,"healthy":false,"status":{"IPv4":{"lastUpdated":"0001-01-01T00:00:00Z","healthy":false,"behindSince":"2026-01-02T00:00:00Z","reason":"HNS is away"}}}`,
		livez:   `{"lastUpdated":"0001-01-01T00:00:00Z","currentTime":"2026-01-02T00:01:00Z","healthy":false,"status":{"IPv4":{"lastUpdated":"0001-01-01T00:00:00Z","healthy":false,"behindSince":"2026-01-02T00:00:00Z","reason":"HNS is away"}}}`,
	}, {
		name:        "synced long ago and nothing to do",
		steps:       []step{eligible(true), queued(v4), updated(v4), after(time.Hour)},
		healthzCode: 200, livezCode: 200,
		healthz: `{"lastUpdated":"2026-01-02T01:00:00Z","currentTime":"2026-01-02T01:00:00Z","nodeEligible":true,"healthy":true,"status":{"IPv4":{"lastUpdated":"2026-01-02T00:00:00Z","healthy":true}}}`,
		livez:   `{"lastUpdated":"2026-01-02T01:00:00Z","currentTime":"2026-01-02T01:00:00Z","healthy":true,"status":{"IPv4":{"lastUpdated":"2026-01-02T00:00:00Z","healthy":true}}}`,
	}, {
		name:        "work waits, not yet twice the period",
		steps:       []step{eligible(true), updated(v4), queued(v4), after(2*period - 1)},
		healthzCode: 200, livezCode: 200,
		healthz: `{"lastUpdated":"2026-01-02T00:00:59.999999999Z","currentTime":"2026-01-02T00:00:59.999999999Z","nodeEligible":true,"healthy":true,"status":{"IPv4":{"lastUpdated":"2026-01-02T00:00:00Z","healthy":true}}}`,
		livez:   `{"lastUpdated":"2026-01-02T00:00:59.999999999Z","currentTime":"2026-01-02T00:00:59.999999999Z","healthy":true,"status":{"IPv4":{"lastUpdated":"2026-01-02T00:00:00Z","healthy":true}}}`,
	}, {
		name: "one family is late",
		steps: []step{eligible(true), updated(v4), updated(v6), queued(v6), after(2*period - time.Second),
			updated(v4), after(time.Second)},
		healthzCode: 503, livezCode: 503,
		healthz: `{"lastUpdated":"2026-01-02T00:00:59Z","currentTime":"2026-01-02T00:01:00Z","nodeEligible":true,"healthy":false,"status":{"IPv4":{"lastUpdated":"2026-01-02T00:00:59Z","healthy":true},"IPv6":{"lastUpdated":"2026-01-02T00:00:00Z","healthy":false,"behindSince":"2026-01-02T00:00:00Z","reason":"HNS is away"}}}`,
		livez:   `{"lastUpdated":"2026-01-02T00:00:59Z","currentTime":"2026-01-02T00:01:00Z","healthy":false,"status":{"IPv4":{"lastUpdated":"2026-01-02T00:00:59Z","healthy":true},"IPv6":{"lastUpdated":"2026-01-02T00:00:00Z","healthy":false,"behindSince":"2026-01-02T00:00:00Z","reason":"HNS is away"}}}`,
	}, {
		name:        "late and caught up",
		steps:       []step{eligible(true), updated(v4), queued(v4), after(time.Hour), updated(v4)},
		healthzCode: 200, livezCode: 200,
		healthz: `{"lastUpdated":"2026-01-02T01:00:00Z","currentTime":"2026-01-02T01:00:00Z","nodeEligible":true,"healthy":true,"status":{"IPv4":{"lastUpdated":"2026-01-02T01:00:00Z","healthy":true}}}`,
		livez:   `{"lastUpdated":"2026-01-02T01:00:00Z","currentTime":"2026-01-02T01:00:00Z","healthy":true,"status":{"IPv4":{"lastUpdated":"2026-01-02T01:00:00Z","healthy":true}}}`,
	}, {
		name:        "node about to be removed",
		steps:       []step{eligible(true), updated(v4), eligible(false)},
		healthzCode: 503, livezCode: 200,
		healthz: `{"lastUpdated":"2026-01-02T00:00:00Z","currentTime":"2026-01-02T00:00:00Z","nodeEligible":false,"healthy":true,"status":{"IPv4":{"lastUpdated":"2026-01-02T00:00:00Z","healthy":true}}}`,
		livez:   `{"lastUpdated":"2026-01-02T00:00:00Z","currentTime":"2026-01-02T00:00:00Z","healthy":true,"status":{"IPv4":{"lastUpdated":"2026-01-02T00:00:00Z","healthy":true}}}`,
	}} {
		t.Run(tt.name, func(t *testing.T) {
			clock := testingclock.NewFakeClock(midnight)
			var served []int
			note := func(code int) { served = append(served, code) }
			h := health.New(health.Config{SyncPeriod: period, Clock: clock, OnHealthz: note, OnLivez: note})
			for _, do := range tt.steps {
				do(h, clock)
			}
			mux := health.Mux(h)
			for path, want := range map[string]struct {
				code int
				body string
			}{"/healthz": {tt.healthzCode, tt.healthz}, "/livez": {tt.livezCode, tt.livez}} {
				w, body := get(t, mux, path)
				if w.Code != want.code {
					t.Errorf("%s: status %d, want %d", path, w.Code, want.code)
				}
				if diff := cmp.Diff(want.body, body); diff != "" {
					t.Errorf("%s: body (-want +got):\n%s", path, diff)
				}
				if ct, o := w.Header().Get("Content-Type"), w.Header().Get("X-Content-Type-Options"); ct != "application/json" || o != "nosniff" {
					t.Errorf("%s: headers %q, %q", path, ct, o)
				}
				if got := served[len(served)-1]; got != want.code {
					t.Errorf("%s: the callback heard %d, the client %d", path, got, want.code)
				}
			}
			if got, want := h.Healthy(), tt.livezCode == 200; got != want {
				t.Errorf("Healthy() = %v, want %v", got, want)
			}
		})
	}
}

// TestDefaults: without clock and callbacks all of it works too.
func TestDefaults(t *testing.T) {
	h := health.New(health.Config{SyncPeriod: period})
	h.SetNodeEligible(true)
	h.Behind(v4, time.Now(), "")
	h.Updated(v4)
	if w, body := get(t, h.Healthz(), "/"); w.Code != 200 {
		t.Errorf("status %d: %s", w.Code, body)
	}
}
