// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

var (
	stubFeatures = hnslb.FeaturesOf(hnslb.Version{Major: 15, Minor: 5})
	stubNetwork  = hnslb.Network{ID: "n", Name: "net"}
	stubEndpoint = hnslb.Endpoint{ID: "e", Network: "n", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
	stubLB       = hnslb.LoadBalancer{
		ID:       "l",
		VIPs:     []netip.Addr{netip.MustParseAddr("10.96.0.10")},
		Mappings: []hnslb.PortMapping{{Protocol: hnslb.UDP, InternalPort: 5353, ExternalPort: 53}},
	}
)

// stub answers each verb with a fixed value after running do.
func stub(do func(ctx context.Context, v hnslb.Verb) error) hnslb.Driver {
	return hnslb.Intercept(nil, func(ctx context.Context, c hnslb.Call, _ hnslb.Next) (any, error) {
		var out any
		switch c.Verb {
		case hnslb.VerbFeatures:
			out = stubFeatures
		case hnslb.VerbNetwork:
			out = stubNetwork
		case hnslb.VerbEndpoints:
			out = []hnslb.Endpoint{stubEndpoint}
		case hnslb.VerbLoadBalancers:
			out = []hnslb.LoadBalancer{stubLB}
		case hnslb.VerbCreateEndpoint, hnslb.VerbCreateLoadBalancer, hnslb.VerbUpdateLoadBalancer:
			out = c.Argument
		}
		return out, do(ctx, c.Verb)
	})
}

// call runs one verb of d with the stub's objects and returns its result as one value.
func call(ctx context.Context, d hnslb.Driver, v hnslb.Verb) (any, error) {
	switch v {
	case hnslb.VerbFeatures:
		return d.Features(ctx)
	case hnslb.VerbNetwork:
		return d.Network(ctx, stubNetwork.Name)
	case hnslb.VerbEndpoints:
		return d.Endpoints(ctx)
	case hnslb.VerbLoadBalancers:
		return d.LoadBalancers(ctx)
	case hnslb.VerbCreateEndpoint:
		return d.CreateEndpoint(ctx, stubEndpoint)
	case hnslb.VerbDeleteEndpoint:
		return nil, d.DeleteEndpoint(ctx, stubEndpoint.ID)
	case hnslb.VerbCreateLoadBalancer:
		return d.CreateLoadBalancer(ctx, stubLB)
	case hnslb.VerbUpdateLoadBalancer:
		return d.UpdateLoadBalancer(ctx, stubLB)
	case hnslb.VerbDeleteLoadBalancer:
		return nil, d.DeleteLoadBalancer(ctx, stubLB.ID)
	}
	return nil, errors.New("no such verb")
}

// hangUntil blocks each call until release is closed, like HNS, which knows no context.
func hangUntil(release <-chan struct{}) hnslb.Driver {
	return stub(func(context.Context, hnslb.Verb) error {
		<-release
		return nil
	})
}

// TestTimeoutPassesThrough: in time, every verb gives what the driver gave.
func TestTimeoutPassesThrough(t *testing.T) {
	refused := hnslb.NewError("x", "y", hnslb.ResultPortAlreadyExists, "taken")
	for _, v := range hnslb.Verbs() {
		for name, want := range map[string]error{"success": nil, "failure": refused} {
			t.Run(string(v)+"/"+name, func(t *testing.T) {
				reached := false
				inner := stub(func(_ context.Context, got hnslb.Verb) error {
					reached = got == v
					return want
				})
				gotValue, gotErr := call(t.Context(), hnslb.WithTimeout(inner, time.Second), v)
				wantValue, _ := call(t.Context(), inner, v)
				if !reached {
					t.Error("the driver was not asked for this verb")
				}
				if !errors.Is(gotErr, want) {
					t.Errorf("error %v, want %v", gotErr, want)
				}
				if diff := cmp.Diff(wantValue, gotValue, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
					t.Errorf("value differs (-driver +decorator):\n%s", diff)
				}
			})
		}
	}
}

// TestTimeoutEndsEachVerb: a hanging call ends after exactly its time, with the class and
// object that a caller needs.
func TestTimeoutEndsEachVerb(t *testing.T) {
	const perCall = 3 * time.Second
	for _, v := range hnslb.Verbs() {
		t.Run(string(v), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				want := perCall
				if v == hnslb.VerbEndpoints || v == hnslb.VerbLoadBalancers {
					want *= 10
				}
				start := time.Now()
				_, err := call(t.Context(), hnslb.WithTimeout(hangUntil(release), perCall), v)
				if took := time.Since(start); took != want {
					t.Errorf("returned after %v, want %v", took, want)
				}
				var e *hnslb.Error
				if !errors.As(err, &e) || e.Class != hnslb.Timeout || e.Verb != v || e.Object == "" {
					t.Errorf("error %#v, want class timeout, the verb and the object", err)
				}
				if !hnslb.OutcomeUnknown(err) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v: must count as unknown outcome and deadline", err)
				}
			})
		})
	}
}

// TestTimeoutCallerGivesUp: the caller's context ends the call at once, and one that has
// ended already makes none.
func TestTimeoutCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		var calls atomic.Int32
		d := hnslb.WithTimeout(stub(func(context.Context, hnslb.Verb) error {
			calls.Add(1)
			<-release
			return nil
		}), time.Hour)

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		start := time.Now()
		_, err := d.CreateLoadBalancer(ctx, stubLB)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("returned after %v, want 5s", took)
		}
		if hnslb.ErrorClass(err) != hnslb.Timeout || !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want class timeout from the cancelled context", err)
		}
		if !strings.Contains(err.Error(), "10.96.0.10:53/UDP") {
			t.Errorf("error %v does not name the frontend", err)
		}

		err = d.DeleteEndpoint(ctx, stubEndpoint.ID)
		if hnslb.ErrorClass(err) != hnslb.Timeout {
			t.Errorf("error %v, want class timeout", err)
		}
		synctest.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls reached the driver, want 1", n)
		}
	})
}

// TestTimeoutBoundsHangingCalls: sixteen hanging calls are the limit; beyond it calls are
// refused at once, and they go through again as soon as one has returned.
func TestTimeoutBoundsHangingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 16
		one, rest := make(chan struct{}), make(chan struct{})
		var calls atomic.Int32
		d := hnslb.WithTimeout(stub(func(context.Context, hnslb.Verb) error {
			switch n := calls.Add(1); {
			case n == 1:
				<-one
			case n <= limit:
				<-rest
			}
			return nil
		}), time.Second)

		object := func(i int) hnslb.ID { return hnslb.ID(fmt.Sprint("object-", i)) }
		for i := range limit {
			if err := d.DeleteEndpoint(t.Context(), object(i)); hnslb.ErrorClass(err) != hnslb.Timeout {
				t.Fatalf("call %d: %v, want class timeout", i, err)
			}
			if i > 0 {
				continue
			}
			// The same object again: refused, without another call.
			if err := d.DeleteEndpoint(t.Context(), object(i)); hnslb.ErrorClass(err) != hnslb.Timeout || calls.Load() != 1 {
				t.Fatalf("%v after %d calls for one object, want class timeout after 1", err, calls.Load())
			}
		}
		start := time.Now()
		err := d.DeleteEndpoint(t.Context(), object(limit))
		if hnslb.ErrorClass(err) != hnslb.Unavailable || time.Since(start) != 0 {
			t.Errorf("%v after %v, want class unavailable at once", err, time.Since(start))
		}
		if n := calls.Load(); n != limit {
			t.Errorf("%d calls reached the driver, want %d", n, limit)
		}

		close(one)
		synctest.Wait()
		if err := d.DeleteEndpoint(t.Context(), object(0)); err != nil {
			t.Errorf("after one returned: %v", err)
		}
		close(rest)
		synctest.Wait()
	})
}

// TestTimeoutCountsOnlyHangingCalls: many callers that still wait are no reason to refuse
// another one.
func TestTimeoutCountsOnlyHangingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d := hnslb.WithTimeout(hangUntil(release), time.Minute)
		const callers = 100
		errs := make(chan error, callers)
		for range callers {
			go func() { errs <- d.DeleteLoadBalancer(t.Context(), stubLB.ID) }()
		}
		synctest.Wait()
		close(release)
		for range callers {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestObjectName(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{stubEndpoint.ObjectName(), "10.0.0.1"},
		{hnslb.Endpoint{ID: "id", Name: "name"}.ObjectName(), "name"},
		{hnslb.Endpoint{ID: "id"}.ObjectName(), "id"},
		{hnslb.Endpoint{}.ObjectName(), "endpoint without an address"},
		{stubLB.ObjectName(), "10.96.0.10:53/UDP"},
		{hnslb.LoadBalancer{ID: "id"}.ObjectName(), "id"},
		{hnslb.LoadBalancer{}.ObjectName(), "load balancer without a single frontend"},
	} {
		if tc.got != tc.want {
			t.Errorf("ObjectName %q, want %q", tc.got, tc.want)
		}
	}
}
