// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package faulty_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/faulty"
)

// counter is a driver that counts the calls which reach it and fails them with err.
type counter struct {
	mu    sync.Mutex
	calls map[hnslb.Verb]int
	err   error
}

func (c *counter) count(v hnslb.Verb) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[hnslb.Verb]int{}
	}
	c.calls[v]++
	return c.err
}

func (c *counter) Features(context.Context) (hnslb.Features, error) {
	return hnslb.Features{DSR: true}, c.count(hnslb.VerbFeatures)
}

func (c *counter) Network(_ context.Context, name string) (hnslb.Network, error) {
	return hnslb.Network{Name: name}, c.count(hnslb.VerbNetwork)
}

func (c *counter) Endpoints(context.Context) ([]hnslb.Endpoint, error) {
	return []hnslb.Endpoint{endpoint}, c.count(hnslb.VerbEndpoints)
}

func (c *counter) LoadBalancers(context.Context) ([]hnslb.LoadBalancer, error) {
	return []hnslb.LoadBalancer{balancer}, c.count(hnslb.VerbLoadBalancers)
}

func (c *counter) CreateEndpoint(_ context.Context, e hnslb.Endpoint) (hnslb.Endpoint, error) {
	return e, c.count(hnslb.VerbCreateEndpoint)
}

func (c *counter) DeleteEndpoint(context.Context, hnslb.ID) error {
	return c.count(hnslb.VerbDeleteEndpoint)
}

func (c *counter) CreateLoadBalancer(_ context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	return lb, c.count(hnslb.VerbCreateLoadBalancer)
}

func (c *counter) UpdateLoadBalancer(_ context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	return lb, c.count(hnslb.VerbUpdateLoadBalancer)
}

func (c *counter) DeleteLoadBalancer(context.Context, hnslb.ID) error {
	return c.count(hnslb.VerbDeleteLoadBalancer)
}

var (
	endpoint = hnslb.Endpoint{ID: "e", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
	balancer = hnslb.LoadBalancer{
		ID:       "l",
		VIPs:     []netip.Addr{netip.MustParseAddr("10.96.0.10")},
		Mappings: []hnslb.PortMapping{{Protocol: hnslb.UDP, InternalPort: 5353, ExternalPort: 53}},
	}
)

// call runs one verb of d and returns its result as one value.
func call(ctx context.Context, d hnslb.Driver, v hnslb.Verb) (any, error) {
	switch v {
	case hnslb.VerbFeatures:
		return d.Features(ctx)
	case hnslb.VerbNetwork:
		return d.Network(ctx, "net")
	case hnslb.VerbEndpoints:
		return d.Endpoints(ctx)
	case hnslb.VerbLoadBalancers:
		return d.LoadBalancers(ctx)
	case hnslb.VerbCreateEndpoint:
		return d.CreateEndpoint(ctx, endpoint)
	case hnslb.VerbDeleteEndpoint:
		return nil, d.DeleteEndpoint(ctx, endpoint.ID)
	case hnslb.VerbCreateLoadBalancer:
		return d.CreateLoadBalancer(ctx, balancer)
	case hnslb.VerbUpdateLoadBalancer:
		return d.UpdateLoadBalancer(ctx, balancer)
	case hnslb.VerbDeleteLoadBalancer:
		return nil, d.DeleteLoadBalancer(ctx, balancer.ID)
	}
	return nil, fmt.Errorf("no such verb %q", v)
}

// TestHealthy: without faults, and after Heal, every verb passes through.
func TestHealthy(t *testing.T) {
	healed := faulty.New(&counter{}, 1, faulty.Fault{Class: hnslb.Other})
	if _, err := healed.Features(t.Context()); err == nil {
		t.Error("the fault did not strike before Heal")
	}
	healed.Heal()
	for name, d := range map[string]hnslb.Driver{"none": faulty.New(&counter{}, 1), "healed": healed} {
		for _, v := range hnslb.Verbs() {
			t.Run(name+"/"+string(v), func(t *testing.T) {
				got, err := call(t.Context(), d, v)
				if err != nil {
					t.Fatal(err)
				}
				want, _ := call(t.Context(), &counter{}, v)
				if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
					t.Errorf("value differs (-driver +decorator):\n%s", diff)
				}
			})
		}
	}
}

// TestScenarios: each single failure strikes its verb once, with its class and effect,
// and no other call.
func TestScenarios(t *testing.T) {
	all := faulty.Scenarios()
	// 4 reads x 9 classes, and 5 writes x 9 classes, before and after.
	if want := 4*9 + 5*9*2; len(all) != want {
		t.Errorf("%d scenarios, want %d", len(all), want)
	}
	names := map[string]bool{}
	for _, f := range all {
		if names[f.String()] {
			t.Errorf("two scenarios are called %s", f)
		}
		names[f.String()] = true
		t.Run(f.String(), func(t *testing.T) {
			inner := &counter{}
			d := faulty.New(inner, 1, f)
			for _, v := range hnslb.Verbs() {
				_, err := call(t.Context(), d, v)
				want := hnslb.Class("")
				if v == f.Verb {
					want = f.Class
				}
				if got := hnslb.ErrorClass(err); got != want {
					t.Errorf("%s: %v, want class %q", v, err, want)
				}
				if _, named := errors.AsType[*hnslb.NetworkNotFound](err); named != (v == hnslb.VerbNetwork && want == hnslb.NotFound) {
					t.Errorf("%s: %v names the networks: %v", v, err, named)
				}
				if err != nil && !errors.Is(err, faulty.ErrInjected) {
					t.Errorf("%s: %v was not injected", v, err)
				}
				if _, err := call(t.Context(), d, v); err != nil {
					t.Errorf("second %s: %v", v, err)
				}
			}
			reached := inner.calls[f.Verb]
			if want := map[bool]int{false: 1, true: 2}[f.TakesEffect]; reached != want {
				t.Errorf("%d calls of %s took effect, want %d", reached, f.Verb, want)
			}
			if hits := d.Hits(); len(hits) != 1 || hits[0].Verb != f.Verb || hits[0].Object == "" {
				t.Errorf("hits %v, want one on %s", hits, f.Verb)
			}
		})
	}
}

// TestSelection: which calls a fault strikes.
func TestSelection(t *testing.T) {
	const (
		create = hnslb.VerbCreateEndpoint
		del    = hnslb.VerbDeleteEndpoint
		list   = hnslb.VerbEndpoints
	)
	for _, tc := range []struct {
		name   string
		faults []faulty.Fault
		calls  []hnslb.Verb
		want   []hnslb.Class
	}{
		{"every call", []faulty.Fault{{Class: hnslb.Other}},
			[]hnslb.Verb{create, list}, []hnslb.Class{hnslb.Other, hnslb.Other}},
		{"one verb", []faulty.Fault{{Verb: del, Class: hnslb.Other}},
			[]hnslb.Verb{create, del, list, del}, []hnslb.Class{"", hnslb.Other, "", hnslb.Other}},
		{"writes", []faulty.Fault{{Writes: true, Class: hnslb.Other}},
			[]hnslb.Verb{list, create, del}, []hnslb.Class{"", hnslb.Other, hnslb.Other}},
		{"third call", []faulty.Fault{{Nth: 3, Class: hnslb.Other}},
			[]hnslb.Verb{list, create, list, create}, []hnslb.Class{"", "", hnslb.Other, ""}},
		{"second write", []faulty.Fault{{Writes: true, Nth: 2, Class: hnslb.Other}},
			[]hnslb.Verb{create, list, del, create}, []hnslb.Class{"", "", hnslb.Other, ""}},
		{"first fault decides and the others go on counting",
			[]faulty.Fault{{Nth: 1, Class: hnslb.Invalid}, {Nth: 2, Class: hnslb.Timeout}},
			[]hnslb.Verb{create, create, create}, []hnslb.Class{hnslb.Invalid, hnslb.Timeout, ""}},
		{"two faults strike one call", []faulty.Fault{{Class: hnslb.Invalid}, {Class: hnslb.Timeout}},
			[]hnslb.Verb{create}, []hnslb.Class{hnslb.Invalid}},
		{"class of the code", []faulty.Fault{{Code: hnslb.ResultPortAlreadyExists}},
			[]hnslb.Verb{create}, []hnslb.Class{hnslb.PortInUse}},
		{"a fault of nothing", []faulty.Fault{{Verb: create}},
			[]hnslb.Verb{create}, []hnslb.Class{""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := faulty.New(&counter{}, 1, tc.faults...)
			var got []hnslb.Class
			for _, v := range tc.calls {
				_, err := call(t.Context(), d, v)
				got = append(got, hnslb.ErrorClass(err))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("classes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestErrors: injected errors look like HNS's own and can be told from them.
func TestErrors(t *testing.T) {
	for class, code := range map[hnslb.Class]hnslb.HRESULT{
		hnslb.NotFound: hnslb.ResultElementNotFound, hnslb.PortInUse: hnslb.ResultPortAlreadyExists,
		hnslb.AlreadyExists: hnslb.ResultWin32AlreadyExists, hnslb.Unavailable: hnslb.ResultServerUnavailable,
		hnslb.Unsupported: hnslb.ResultNotImplemented, hnslb.Invalid: hnslb.ResultInvalidArgument,
		hnslb.Timeout: 0, hnslb.Other: 0x80004005,
	} {
		_, err := faulty.New(&counter{}, 1, faulty.Fault{Class: class}).CreateLoadBalancer(t.Context(), balancer)
		var e *hnslb.Error
		if !errors.As(err, &e) {
			t.Fatalf("%v is no *hnslb.Error", err)
		}
		want := hnslb.Error{Verb: hnslb.VerbCreateLoadBalancer, Object: "10.96.0.10:53/UDP", Class: class, Code: code, Err: faulty.ErrInjected}
		if *e != want {
			t.Errorf("error %+v, want %+v", *e, want)
		}
		if code != 0 && hnslb.ClassOf(code) != class {
			t.Errorf("code 0x%x is not of class %s", uint32(code), class)
		}
	}
	own := errors.New("own failure")
	err := faulty.New(&counter{err: own}, 1, faulty.Fault{Class: hnslb.Timeout, TakesEffect: true}).DeleteEndpoint(t.Context(), "e")
	if !errors.Is(err, own) {
		t.Errorf("error %v, want the driver's own", err)
	}
}

func TestWithinContract(t *testing.T) {
	for _, f := range faulty.Scenarios() {
		want := !f.TakesEffect || f.Class == hnslb.Unavailable || f.Class == hnslb.Timeout
		if got := f.WithinContract(); got != want {
			t.Errorf("%s: within contract %t, want %t", f, got, want)
		}
	}
}

// fate runs n creates and n deletes, in turn or one after the other, and returns which
// failed, per verb.
func fate(t *testing.T, seed uint64, n int, inTurn bool) map[hnslb.Verb]string {
	t.Helper()
	d := faulty.New(&counter{}, seed, faulty.Fault{Writes: true, Chance: 0.3, Class: hnslb.Other})
	got := map[hnslb.Verb]string{}
	run := func(v hnslb.Verb) {
		_, err := call(t.Context(), d, v)
		got[v] += map[bool]string{false: "x", true: "."}[err == nil]
	}
	verbs := []hnslb.Verb{hnslb.VerbCreateEndpoint, hnslb.VerbDeleteEndpoint}
	for i := range 2 * n {
		if inTurn {
			run(verbs[i%2])
		} else {
			run(verbs[i/n])
		}
	}
	return got
}

// TestChanceIsSeeded: the seed decides, another seed decides otherwise, and what other
// verbs do does not matter.
func TestChanceIsSeeded(t *testing.T) {
	const n = 400
	first := fate(t, 7, n, true)
	if diff := cmp.Diff(first, fate(t, 7, n, false)); diff != "" {
		t.Errorf("same seed, other order of verbs (-in turn +one after the other):\n%s", diff)
	}
	if cmp.Equal(first, fate(t, 8, n, true)) {
		t.Error("two seeds decided alike")
	}
	for v, s := range first {
		failed := 0
		for _, c := range s {
			if c == 'x' {
				failed++
			}
		}
		// 0.3 of 400 is 120; the standard deviation is 9.
		if failed < 80 || failed > 160 {
			t.Errorf("%s: %d of %d calls failed, want about 120", v, failed, n)
		}
	}
	if first[hnslb.VerbCreateEndpoint] == first[hnslb.VerbDeleteEndpoint] {
		t.Error("two verbs share their luck")
	}
}

// TestDelay: a delay alone makes a call late; a context that ends meanwhile ends the call
// without effect.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &counter{}
		d := faulty.New(inner, 1, faulty.Fault{Delay: 5 * time.Second})
		start := time.Now()
		if err := d.DeleteEndpoint(t.Context(), "e"); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("took %v, want 5s", took)
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := d.DeleteEndpoint(ctx, "e")
		if hnslb.ErrorClass(err) != hnslb.Timeout || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want class timeout", err)
		}
		if took := time.Since(start); took != 6*time.Second {
			t.Errorf("took %v, want 6s", took)
		}
		if n := inner.calls[hnslb.VerbDeleteEndpoint]; n != 1 {
			t.Errorf("%d calls took effect, want 1", n)
		}
	})
}

// TestConcurrent: many goroutines, and still exactly the n-th call fails.
func TestConcurrent(t *testing.T) {
	const callers, each = 8, 50
	d := faulty.New(&counter{}, 1, faulty.Fault{Nth: 123, Class: hnslb.Other})
	var wg sync.WaitGroup
	failed := make(chan error, callers*each)
	for range callers {
		wg.Go(func() {
			for range each {
				if err := d.DeleteLoadBalancer(t.Context(), "l"); err != nil {
					failed <- err
				}
			}
		})
	}
	wg.Wait()
	if len(failed) != 1 || len(d.Hits()) != 1 {
		t.Errorf("%d calls failed, %d hits; want one each", len(failed), len(d.Hits()))
	}
}
