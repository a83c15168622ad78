// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/observed"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// TestLocalPodsShareOneList: frontends with new local pods wait for one list of endpoints,
// however many they are.
func TestLocalPodsShareOneList(t *testing.T) {
	b := atRest(t)
	var inputs []services.Input
	for i := range 100 {
		ip := fmt.Sprintf("10.244.1.%d", i+1)
		inputs = append(inputs, service(fmt.Sprint("s", i), fmt.Sprintf("10.96.0.%d", i+1), ip+"/pod"))
		b.eps = append(b.eps, local(ip))
	}
	b.SetServices(inputs)
	r := b.ready()
	wantList(t, r, &ListRequest{EndpointsOnly: true})
	wantCalls(t, r.Calls)
	look := r.List
	if r = b.after(5 * time.Second); r.List != nil || len(r.Calls) > 0 {
		t.Fatalf("while the list is under way: list %v, calls %v", r.List, callTexts(r.Calls))
	}
	b.list(&ListRequest{EndpointsOnly: true}) // nobody asked for this one
	if r = b.ready(); len(r.Calls) > 0 {
		t.Fatalf("a list that nobody asked for is believed: %v", callTexts(r.Calls))
	}
	b.list(look)
	b.run(5 * time.Second)
	if len(b.lists) != 1 || len(b.log) != 100 {
		t.Errorf("%d lists and %d calls, want 1 and 100", len(b.lists), len(b.log))
	}
}

// TestPauses: after a list there is none for a while, for as long as it took or longer.
func TestPauses(t *testing.T) {
	pod := func(b *bench, i int) {
		ip := fmt.Sprintf("10.244.1.%d", i+1)
		b.eps = append(b.eps, local(ip))
		b.SetServices([]services.Input{service("s", "10.96.0.1", ip+"/pod")})
	}
	service := func(b *bench, _ int) { b.ServiceChanged() }
	for _, tc := range []struct {
		name        string
		need        func(*bench, int)
		took, pause time.Duration
	}{
		{"a short list of endpoints", pod, time.Millisecond, endpointsPause},
		{"a long list of endpoints", pod, time.Second, time.Second},
		{"a short list of everything", service, time.Millisecond, allPause},
		{"a long list of everything", service, 2 * time.Second, 2 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := atRest(t)
			tc.need(b, 0)
			first := b.ready()
			b.after(tc.took)
			b.answer(first)
			b.answer(b.ready())
			tc.need(b, 1)
			r := b.after(tc.pause - 1)
			wantList(t, r, nil)
			if got := r.Wake.Sub(b.clock); got != 1 {
				t.Errorf("it wakes up after %s", got)
			}
			if r = b.after(1); r.List == nil || *r.List != *first.List {
				t.Errorf("list %v after the pause, want %v", r.List, first.List)
			}
		})
	}
}

// TestAuditAsksForTheNetworkFirst: what is listed is judged by the network.
func TestAuditAsksForTheNetworkFirst(t *testing.T) {
	b := atRest(t)
	r := b.after(b.cfg.AuditPeriod)
	if wantList(t, r, nil); !r.Network {
		t.Fatal("the network is not asked for")
	}
	wantList(t, b.after(time.Second), nil)
	b.answer(Ready{Network: true})
	wantList(t, b.ready(), &ListRequest{})
}

// TestAuditPeriodCountsFromTheEnd: of a list that takes as long as the period, HNS would
// have no rest otherwise.
func TestAuditPeriodCountsFromTheEnd(t *testing.T) {
	b := newBench(t, func(c *Config) { c.AuditPeriod = time.Minute })
	b.run(0)
	b.SetServices(nil)
	b.run(time.Second)
	b.Audit()
	b.answer(b.ready())
	r := b.ready()
	wantList(t, r, &ListRequest{})
	b.after(5 * time.Second)
	b.answer(r)
	b.ready()
	if r = b.after(time.Minute - 1); r.Network || r.List != nil {
		t.Fatalf("audited again too soon: network %v, list %v", r.Network, r.List)
	}
	if r = b.after(1); !r.Network {
		t.Error("not audited again")
	}
}

// TestWrittenDuringAList: a list says nothing about what was written while it was made.
func TestWrittenDuringAList(t *testing.T) {
	one, two := service("a", "10.96.0.1", "10.244.2.1"), service("a", "10.96.0.1", "10.244.2.1", "10.244.2.2")
	for _, tc := range []struct {
		name          string
		before, after []services.Input
		calls         int
	}{
		{"made", nil, []services.Input{one}, 2},
		{"changed", []services.Input{one}, []services.Input{two}, 2},
		{"deleted", []services.Input{one}, []services.Input{without(one)}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := atRest(t, tc.before...)
			b.ServiceChanged()
			r := b.ready()
			old := observed.List{Endpoints: slices.Clone(b.eps), LoadBalancers: slices.Clone(b.lbs)}
			b.NetworkRead(hnslb.FeaturesOf(b.version), b.network, nil)
			look := r.List
			b.SetServices(tc.after)
			b.run(5 * time.Second)
			if len(b.log) != tc.calls {
				t.Fatalf("calls beside the list: %v", b.log)
			}
			b.Listed(look, old, nil)
			b.run(time.Hour)
			if len(b.log) != tc.calls {
				t.Errorf("the list was believed: %v", b.log[tc.calls:])
			}
		})
	}
}

// TestRefusedDuringAList: of what was refused meanwhile nothing came, so that the list counts.
func TestRefusedDuringAList(t *testing.T) {
	b := atRest(t)
	b.ServiceChanged()
	look := b.ready().List
	b.NetworkRead(hnslb.FeaturesOf(b.version), b.network, nil)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1")})
	b.fail(b.one(b.ready(), "CreateEndpoint 10.244.2.1"), refused(hnslb.Other))
	b.ready()
	b.clear()
	// Somebody else made it meanwhile.
	b.eps = append(b.eps, remote("10.244.2.1"))
	b.list(look)
	b.run(time.Minute)
	if diff := cmp.Diff([]string{"CreateLoadBalancer 10.96.0.1:80/TCP"}, b.log); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// audit returns the list of an audit that is due now.
func (b *bench) audit() *ListRequest {
	b.t.Helper()
	b.Audit()
	b.ready()
	b.answer(Ready{Network: true})
	r := b.ready()
	wantList(b.t, r, &ListRequest{})
	return r.List
}

// TestRefusedAsAListBegan: the same holds for a call that was in progress when the list began.
func TestRefusedAsAListBegan(t *testing.T) {
	b := atRest(t)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1")})
	create := b.one(b.ready(), "CreateEndpoint 10.244.2.1")
	look := b.audit()
	b.fail(create, refused(hnslb.Other))
	b.ready()
	b.eps = append(b.eps, remote("10.244.2.1"))
	b.list(look)
	wantCalls(t, b.ready().Calls, "CreateLoadBalancer 10.96.0.1:80/TCP")
}

// TestRefusedLateDuringAList: nor does a list skip what hung when it began and is refused meanwhile.
func TestRefusedLateDuringAList(t *testing.T) {
	b := atRest(t)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1")})
	create := b.one(b.ready(), "CreateEndpoint 10.244.2.1")
	r := b.after(5 * time.Second) // it hangs, and a list is to show what became of it
	for r.List == nil {
		b.answer(r)
		r = b.after(time.Second)
	}
	b.fail(create, refused(hnslb.Other))
	b.ready()
	b.eps = append(b.eps, remote("10.244.2.1"))
	b.list(r.List)
	b.clear()
	b.run(time.Second)
	if diff := cmp.Diff([]string{"CreateLoadBalancer 10.96.0.1:80/TCP"}, b.log); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestPodCameDuringAList: the endpoint of a pod that a list shows where a call made another one is
// not lost with what the list says of that address.
func TestPodCameDuringAList(t *testing.T) {
	b := atRest(t)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1")})
	create := b.one(b.ready(), "CreateEndpoint 10.244.2.1")
	look := b.audit()
	b.succeed(create)
	b.eps = append(b.eps, local("10.244.2.1"))
	b.list(look)
	b.clear()
	b.run(10 * time.Second)
	if !slices.Contains(b.log, "DeleteEndpoint 10.244.2.1") {
		t.Errorf("the pod's endpoint was not seen: %v", b.log)
	}
}

// TestListFails: a list that fails is asked for again after growing pauses, up to a limit,
// and the failure is told once a minute.
func TestListFails(t *testing.T) {
	b := newBench(t)
	b.answer(b.ready())
	b.ready()
	b.SetServices(nil)
	begin := b.clock
	r := b.ready()
	var pauses []time.Duration
	for b.clock.Sub(begin) < 150*time.Second {
		if r.List == nil {
			t.Fatalf("no list after %v", pauses)
		}
		b.Listed(r.List, observed.List{}, errTest)
		before := b.clock
		for r = b.ready(); r.List == nil; r = b.ready() {
			b.clock = r.Wake
		}
		pauses = append(pauses, b.clock.Sub(before))
	}
	if pauses[0] != allPause || pauses[4] <= pauses[2] || slices.Max(pauses) != maxConnectionRetry || pauses[len(pauses)-1] != maxConnectionRetry {
		t.Errorf("pauses %v, want growing ones up to %s", pauses, maxConnectionRetry)
	}
	if told := only[ListFailed](b.transitions); len(told) != 3 {
		t.Errorf("told %d times in 150 s, want 3", len(told))
	}
	if since, why := b.Lag(); since != begin || why != "HNS objects not listed yet" {
		t.Errorf("behind since %s: %s", since.Sub(begin), why)
	}
}

// TestListHangs: a list that does not come is given up, later each time; its answer is
// no use any more when it comes at last.
func TestListHangs(t *testing.T) {
	b := atRest(t, service("a", "10.96.0.1", "10.244.2.1"))
	b.ServiceChanged()
	r := b.ready()
	b.NetworkRead(hnslb.FeaturesOf(b.version), b.network, nil)
	late := r.List
	for i := range 3 {
		patience := b.cfg.CallTimeout << i
		r = b.after(patience - 1)
		if wantList(t, r, nil); r.Network {
			t.Fatalf("round %d: given up too soon", i)
		}
		r = b.after(1)
		if !r.Network {
			t.Fatalf("round %d: not given up", i)
		}
		b.NetworkRead(hnslb.FeaturesOf(b.version), b.network, nil)
		r = b.after(r.Wake.Sub(b.clock))
		wantList(t, r, &ListRequest{})
	}
	if told := only[ListFailed](b.transitions); len(told) == 0 || hnslb.ErrorClass(told[0].Err) != hnslb.Timeout {
		t.Errorf("told: %v", told)
	}
	b.Listed(late, observed.List{}, nil)
	if r = b.ready(); len(r.Calls) > 0 {
		t.Errorf("a list that was given up is believed: %v", callTexts(r.Calls))
	}
}

// TestDrift: what somebody else changed is told by an audit, and put right.
func TestDrift(t *testing.T) {
	b := atRest(t, service("a", "10.96.0.1", "10.244.2.1"))
	b.lbs = nil
	b.Audit()
	b.run(time.Second)
	if diff := cmp.Diff([]Drifted{{Frontends: 1}}, only[Drifted](b.transitions)); diff != "" {
		t.Errorf("drift (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"CreateLoadBalancer 10.96.0.1:80/TCP"}, b.log); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestDegraded: what HNS reports as degraded is told of and left as it is, until a list shows it
// healthy or it was written for another reason. It is no drift.
func TestDegraded(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after func(*bench)
		calls int
	}{
		{"healthy again", func(b *bench) { b.lbs[0].Degraded = false; b.Audit() }, 0},
		{"still degraded", func(b *bench) { b.Audit() }, 0},
		{"written anew", func(b *bench) { b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1", "10.244.2.2")}) }, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := atRest(t, service("a", "10.96.0.1", "10.244.2.1"))
			b.lbs[0].Degraded = true
			b.Audit()
			b.run(time.Second)
			if got := b.status("a"); got.State != Programmed || got.Note.Reason != desired.HNSDegraded || !strings.Contains(got.Note.Message, "restart the HNS service") {
				t.Errorf("%s: %v", got.State, got.Note)
			}
			if len(b.log) > 0 || len(only[Drifted](b.transitions)) > 0 {
				t.Errorf("calls %v, told %v", b.log, b.transitions)
			}
			want := desired.Reason("")
			if tc.name == "still degraded" {
				want = desired.HNSDegraded
			}
			tc.after(b)
			b.run(time.Second)
			if got := b.status("a"); got.State != Programmed || got.Note.Reason != want {
				t.Errorf("then %s: %v, want reason %q", got.State, got.Note, want)
			}
			if len(b.log) != tc.calls {
				t.Errorf("calls %v, want %d", b.log, tc.calls)
			}
		})
	}
}

// TestDeletionUndone: HNS brought back what it had deleted. It is deleted again after a
// while, not at once.
func TestDeletionUndone(t *testing.T) {
	in := service("a", "10.96.0.1", "10.244.2.1")
	b := atRest(t, in)
	eps, lbs := slices.Clone(b.eps), slices.Clone(b.lbs)
	b.SetServices([]services.Input{without(in)})
	b.run(time.Second)
	b.eps, b.lbs = eps, lbs
	b.Audit()
	b.answer(b.ready())
	b.answer(b.ready())
	b.clear()
	r := b.ready()
	wantCalls(t, r.Calls)
	if diff := cmp.Diff([]DeletionsUndone{{2}}, only[DeletionsUndone](b.transitions)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	b.run(time.Second)
	if len(b.eps)+len(b.lbs) > 0 {
		t.Errorf("HNS still has %v, %v", b.eps, b.lbs)
	}
}
