// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/prometheus/client_golang/prometheus"
	testingclock "k8s.io/utils/clock/testing"
)

// scripted is a driver that answers each verb with its own value and err, and takes a
// second for it. It keeps what it was asked.
type scripted struct {
	clock *testingclock.FakeClock
	err   error
	asked []string
}

func (s *scripted) driver() hnslb.Driver {
	return hnslb.Intercept(nil, func(_ context.Context, c hnslb.Call, _ hnslb.Next) (any, error) {
		s.clock.Step(time.Second)
		s.asked = append(s.asked, fmt.Sprint(c))
		out := c.Argument
		switch c.Verb {
		case hnslb.VerbFeatures:
			out = hnslb.Features{DSR: true}
		case hnslb.VerbNetwork:
			out = hnslb.Network{Name: c.Object}
		case hnslb.VerbEndpoints:
			out = []hnslb.Endpoint{{ID: "e"}}
		case hnslb.VerbLoadBalancers:
			out = []hnslb.LoadBalancer{{ID: "l"}}
		}
		return out, s.err
	})
}

// callAll calls each verb of d once and returns values and errors as text.
func callAll(ctx context.Context, d hnslb.Driver) []string {
	var out []string
	one := func(v any, err error) { out = append(out, fmt.Sprint(v, " ", err)) }
	f, err := d.Features(ctx)
	one(f, err)
	n, err := d.Network(ctx, "net")
	one(n, err)
	es, err := d.Endpoints(ctx)
	one(es, err)
	lbs, err := d.LoadBalancers(ctx)
	one(lbs, err)
	e, err := d.CreateEndpoint(ctx, hnslb.Endpoint{Name: "ep"})
	one(e, err)
	one(nil, d.DeleteEndpoint(ctx, "d1"))
	lb, err := d.CreateLoadBalancer(ctx, hnslb.LoadBalancer{ID: "c1"})
	one(lb, err)
	lb, err = d.UpdateLoadBalancer(ctx, hnslb.LoadBalancer{ID: "u1"})
	one(lb, err)
	one(nil, d.DeleteLoadBalancer(ctx, "d2"))
	return out
}

func TestInstrument(t *testing.T) {
	for _, tt := range []struct {
		name, result string
		err          error
	}{
		{"success", "ok", nil},
		{"driver error", "port-in-use", hnslb.NewError(hnslb.VerbNetwork, "x", hnslb.ResultPortAlreadyExists, "no")},
		{"other error", "other", errors.New("no")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bareClock := testingclock.NewFakeClock(start)
			bare := &scripted{clock: bareClock, err: tt.err}
			want := callAll(t.Context(), bare.driver())

			clock := testingclock.NewFakeClock(start)
			inner := &scripted{clock: clock, err: tt.err}
			reg := prometheus.NewRegistry()
			got := callAll(t.Context(), metrics.Instrument(inner.driver(), metrics.New(reg), clock))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("results differ from the bare driver's (-bare +instrumented):\n%s", diff)
			}
			if diff := cmp.Diff(bare.asked, inner.asked); diff != "" {
				t.Errorf("calls differ (-bare +instrumented):\n%s", diff)
			}
			text := series(t, reg)
			for _, v := range hnslb.Verbs() {
				calls := fmt.Sprintf("hnsproxy_hns_calls_total{result=%s,verb=%s} 1\n", tt.result, v)
				took := fmt.Sprintf("hnsproxy_hns_call_duration_seconds{verb=%s} count 1 sum 1\n", v)
				if !strings.Contains(text, calls) || !strings.Contains(text, took) {
					t.Errorf("no %q or %q in\n%s", calls, took, text)
				}
			}
		})
	}
}
