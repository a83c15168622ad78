// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package drivertest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/drivertest"
)

// TestFail: a fault comes before a call or after it, with its class, and spares the others.
func TestFail(t *testing.T) {
	t.Parallel()
	var reached int
	var own error
	inner := hnslb.Intercept(nil, func(context.Context, hnslb.Call, hnslb.Next) (any, error) {
		reached++
		return nil, own
	})
	for _, tt := range []struct {
		fault   drivertest.Fault
		own     error
		reached int
		want    error
	}{
		{drivertest.Fault{}, nil, 1, nil},
		{drivertest.Fault{Class: hnslb.Invalid}, nil, 0, drivertest.ErrInjected},
		{drivertest.Fault{Class: hnslb.Timeout, TakesEffect: true}, nil, 1, drivertest.ErrInjected},
		{drivertest.Fault{Class: hnslb.Timeout, TakesEffect: true}, context.Canceled, 1, context.Canceled},
	} {
		d := drivertest.Fail(inner, func(c hnslb.Call) drivertest.Fault {
			if c.Verb == hnslb.VerbDeleteEndpoint && c.Object == "e" {
				return tt.fault
			}
			return drivertest.Fault{}
		})
		reached, own = 0, tt.own
		err := d.DeleteEndpoint(t.Context(), "e")
		if !errors.Is(err, tt.want) || tt.own == nil && hnslb.ErrorClass(err) != tt.fault.Class || reached != tt.reached {
			t.Errorf("%+v: error %v after %d calls, want %v after %d", tt.fault, err, reached, tt.want, tt.reached)
		}
		if err := d.DeleteEndpoint(t.Context(), "other"); !errors.Is(err, tt.own) {
			t.Errorf("%+v strikes another object: %v", tt.fault, err)
		}
	}
	missing := drivertest.Fail(inner, func(hnslb.Call) drivertest.Fault { return drivertest.Fault{Class: hnslb.NotFound} })
	_, err := missing.Network(t.Context(), "net")
	if n, ok := errors.AsType[*hnslb.NetworkNotFound](err); !ok || n.Name != "net" {
		t.Errorf("error %v does not name the network", err)
	}
}

// TestLuck: the seed decides, another seed decides otherwise, and what other verbs do does not
// matter.
func TestLuck(t *testing.T) {
	t.Parallel()
	const n = 400
	draw := func(seed uint64, between bool) (out []float64, low int) {
		l := drivertest.NewLuck(seed)
		for range n {
			if between {
				l.Draw(hnslb.VerbDeleteEndpoint)
			}
			x := l.Draw(hnslb.VerbCreateEndpoint)
			if out = append(out, x); x < 0.3 {
				low++
			}
		}
		return out, low
	}
	first, low := draw(7, false)
	second, _ := draw(7, true)
	third, _ := draw(8, false)
	same := 0
	for i := range first {
		if first[i] != second[i] {
			t.Fatalf("draw %d depends on another verb", i)
		}
		if first[i] == third[i] {
			same++
		}
	}
	if same > 0 || low < 80 || low > 160 { // 0.3 of 400 is 120; the standard deviation is 9
		t.Errorf("%d draws are the same for another seed; %d of %d are below 0.3", same, low, n)
	}
}
