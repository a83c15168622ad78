// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// begun runs the engine until it begins a call, which is not carried out.
func (b *bench) begun(want string) Call {
	b.t.Helper()
	for range 100 {
		r := b.ready()
		for i, c := range r.Calls {
			if callText(c) == want {
				r.Calls = slices.Delete(r.Calls, i, i+1)
				b.answer(r)
				return c
			}
		}
		b.answer(r)
	}
	b.t.Fatalf("%s is not begun, but %v", want, b.log)
	return Call{}
}

// TestUnknownOutcome: an object of which nobody knows waits for the list that shows it, and
// is not made again before.
func TestUnknownOutcome(t *testing.T) {
	const endpoint, lb = "CreateEndpoint 10.244.2.1", "CreateLoadBalancer 10.96.0.1:80/TCP"
	for _, tc := range []struct {
		name, call string
		class      hnslb.Class
		// happened: the call took effect.
		happened bool
		look     ListRequest
		after    []string
	}{
		{"an endpoint that was made", endpoint, hnslb.Timeout, true, ListRequest{EndpointsOnly: true}, []string{lb}},
		{"an endpoint that was not", endpoint, hnslb.Timeout, false, ListRequest{EndpointsOnly: true}, []string{endpoint, lb}},
		{"a load balancer that was made", lb, hnslb.Timeout, true, ListRequest{}, nil},
		{"a load balancer that was not", lb, hnslb.Timeout, false, ListRequest{}, []string{lb}},
		{"a load balancer while HNS went away", lb, hnslb.Unavailable, true, ListRequest{}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := atRest(t)
			b.SetServices(several(1))
			c := b.begun(tc.call)
			if tc.happened {
				b.apply(c)
			}
			b.clear()
			b.fail(c, refused(tc.class))
			r := b.ready()
			for r.List == nil {
				b.NetworkRead(hnslb.FeaturesOf(b.version), b.network, nil)
				r = b.after(r.Wake.Sub(b.clock))
			}
			if *r.List != tc.look {
				t.Errorf("list %v, want %v", *r.List, tc.look)
			}
			if b.after(5 * time.Second); slices.Contains(b.log, tc.call) {
				t.Fatalf("before the list came: %v", b.log)
			}
			b.list(r.List)
			b.run(time.Minute)
			if diff := cmp.Diff(tc.after, b.log); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if len(b.eps) != 1 || len(b.lbs) != 1 || b.status("a").State != Programmed {
				t.Errorf("HNS has %v, %v; a is %s", b.eps, b.lbs, b.status("a").State)
			}
		})
	}
}

// TestUnknownUpdate: a load balancer that may have been changed is changed again. No list is
// needed, since it exists either way.
func TestUnknownUpdate(t *testing.T) {
	const update = "UpdateLoadBalancer 10.96.0.1:80/TCP"
	b := atRest(t, several(1)...)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1", "10.244.2.2")})
	b.fail(b.begun(update), refused(hnslb.Timeout))
	b.clear()
	b.run(time.Second)
	if !slices.Equal(b.log, []string{update}) || len(b.lists) > 0 || len(b.lbs[0].Endpoints) != 2 {
		t.Errorf("calls %v, lists %v, HNS has %v", b.log, b.lists, b.lbs)
	}
}

// TestUnknownDeletion: a deletion of which nobody knows is made again. What is wanted again by then,
// as it was, may be gone: a list shows whether it is.
func TestUnknownDeletion(t *testing.T) {
	const remove, create = "DeleteLoadBalancer 10.96.0.1:80/TCP", "CreateLoadBalancer 10.96.0.1:80/TCP"
	for _, tc := range []struct {
		name         string
		done, wanted bool
		calls        []string
		lists        int
	}{
		{"not done", false, false, []string{remove, "DeleteEndpoint 10.244.2.1"}, 0},
		{"not done, wanted again", false, true, nil, 1},
		{"done", true, false, []string{remove, "DeleteEndpoint 10.244.2.1"}, 0},
		{"done, wanted again", true, true, []string{create}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := atRest(t, several(1)...)
			b.SetServices([]services.Input{without(several(1)[0])})
			c := b.begun(remove)
			if tc.done {
				b.apply(c)
			}
			b.fail(c, refused(hnslb.Timeout))
			b.clear()
			if tc.wanted {
				b.SetServices(several(1))
			}
			b.run(10 * time.Second)
			if diff := cmp.Diff(tc.calls, b.log); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if len(b.lists) != tc.lists {
				t.Errorf("%d lists, want %d", len(b.lists), tc.lists)
			}
			if tc.wanted && (len(b.lbs) != 1 || b.status("a").State != Programmed) {
				t.Errorf("HNS has %v, a is %s", b.lbs, b.status("a").State)
			}
		})
	}
}

// TestEndpointsOfAnUncertainUpdate: of a change that may have taken effect or not, the
// endpoints of both stay.
func TestEndpointsOfAnUncertainUpdate(t *testing.T) {
	b := atRest(t, several(1)...)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.2")})
	b.fail(b.begun("UpdateLoadBalancer 10.96.0.1:80/TCP"), refused(hnslb.Timeout))
	b.clear()
	for range 5 {
		if r := b.ready(); len(r.Calls) > 0 {
			t.Fatalf("begun: %v", callTexts(r.Calls))
		}
	}
	b.run(time.Second)
	want := []string{"UpdateLoadBalancer 10.96.0.1:80/TCP", "DeleteEndpoint 10.244.2.1"}
	if diff := cmp.Diff(want, b.log); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestRefusal: what HNS refuses for good is looked at once at most, and then tried less and
// less often.
func TestRefusal(t *testing.T) {
	for _, tc := range []struct {
		class  hnslb.Class
		looks  int
		reason desired.Reason
	}{
		{hnslb.PortInUse, 1, desired.HNSPortInUse},
		{hnslb.AlreadyExists, 1, desired.HNSAlreadyExists},
		{hnslb.Invalid, 0, desired.HNSInvalid},
		{hnslb.Other, 0, desired.HNSError},
	} {
		t.Run(string(tc.class), func(t *testing.T) {
			const create = "CreateLoadBalancer 10.96.0.1:80/TCP"
			b := atRest(t)
			b.SetServices(several(1))
			c := b.begun(create)
			b.clear()
			var waits []time.Duration
			for range 14 {
				before := b.clock
				b.fail(c, refused(tc.class))
				var r Ready
				for r = b.ready(); len(r.Calls) == 0; r = b.after(r.Wake.Sub(b.clock)) {
					b.answer(r)
					if r.List != nil {
						r.Wake = b.clock
					}
				}
				c = b.one(r, create)
				waits = append(waits, b.clock.Sub(before))
			}
			if len(b.lists) != tc.looks {
				t.Errorf("%d lists, want %d", len(b.lists), tc.looks)
			}
			if waits[0] > time.Second || waits[6] < 8*waits[2] || waits[13] < 48*time.Second || waits[13] > 72*time.Second {
				t.Errorf("waits %v, want growing ones up to about a minute", waits)
			}
			if got := b.status("a"); got.State != Failing || got.Note.Reason != tc.reason {
				t.Errorf("a is %s: %v", got.State, got.Note)
			}
			b.succeed(c)
			b.ready()
			if got := b.status("a"); got.State != Programmed {
				t.Errorf("after all a is %s: %v", got.State, got.Note)
			}
		})
	}
}

// TestChangeIsTriedAtOnce: what a Service asks for now is not held up by what HNS refused.
func TestChangeIsTriedAtOnce(t *testing.T) {
	b := atRest(t)
	b.SetServices(several(1))
	b.fail(b.begun("CreateLoadBalancer 10.96.0.1:80/TCP"), refused(hnslb.Invalid))
	b.SetServices(several(1))
	wantCalls(t, b.ready().Calls)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.2")})
	wantCalls(t, b.ready().Calls, "CreateEndpoint 10.244.2.2", "DeleteEndpoint 10.244.2.1")
}

// TestModifyIneffective: HNS says that it changed a load balancer and did not. The load balancer is
// re-created at once, and the others too, until it is given another try.
func TestModifyIneffective(t *testing.T) {
	const update, del, create = "UpdateLoadBalancer 10.96.0.1:80/TCP", "DeleteLoadBalancer 10.96.0.1:80/TCP", "CreateLoadBalancer 10.96.0.1:80/TCP"
	b := atRest(t, service("a", "10.96.0.1", "10.244.2.1"), service("b", "10.96.0.2", "10.244.2.1", "10.244.2.2"))
	change := func(backends ...string) {
		b.clear()
		b.SetServices([]services.Input{service("a", "10.96.0.1", backends...)})
	}
	change("10.244.2.1", "10.244.2.2")
	c := b.begun(update)
	old := b.lbs[slices.IndexFunc(b.lbs, func(lb hnslb.LoadBalancer) bool { return lb.ID == target(c).LoadBalancer.ID })]
	b.Done(Result{Call: c.ID, LoadBalancer: old})
	b.clear()
	lied := b.clock
	b.run(30 * time.Second)
	if want := []string{del, create}; !slices.Equal(b.log, want) {
		t.Fatalf("calls %v, want %v", b.log, want)
	}
	told := only[ModifyFailed](b.transitions)
	if len(told) != 1 || told[0].Until != lied.Add(minModifyPause) {
		t.Errorf("told: %v", told)
	}
	change("10.244.2.2")
	if b.run(29 * time.Second); !slices.Equal(b.log, []string{del, create}) {
		t.Errorf("within the minute: calls %v", b.log)
	}
	b.run(time.Second)
	change("10.244.2.1", "10.244.2.2")
	if b.run(time.Second); !slices.Equal(b.log, []string{update}) {
		t.Errorf("after the minute: calls %v", b.log)
	}
}

// TestDeletedTooLate: what is gone need not be deleted.
func TestDeletedTooLate(t *testing.T) {
	in := several(1)[0]
	b := atRest(t, in)
	b.SetServices([]services.Input{without(in)})
	b.fail(b.one(b.ready(), "DeleteLoadBalancer 10.96.0.1:80/TCP"), refused(hnslb.NotFound))
	b.fail(b.one(b.ready(), "DeleteEndpoint 10.244.2.1"), refused(hnslb.NotFound))
	b.clear()
	if b.run(time.Hour); len(b.log)+len(b.lists) > 0 || b.OwnEndpoints() != 0 {
		t.Errorf("calls %v, lists %v, %d endpoints", b.log, b.lists, b.OwnEndpoints())
	}
}

// TestLateResult: a result that comes after HNS ended is no use; a list shows what came of
// the call.
func TestLateResult(t *testing.T) {
	b := atRest(t)
	b.SetServices(several(1))
	c := b.begun("CreateLoadBalancer 10.96.0.1:80/TCP")
	b.ServiceChanged()
	b.run(5 * time.Second)
	b.clear()
	b.Done(Result{Call: c.ID})
	b.run(5 * time.Second)
	if diff := cmp.Diff([]ListRequest{{}}, b.lists); diff != "" || len(b.log) > 0 {
		t.Errorf("calls %v, lists (-want +got):\n%s", b.log, diff)
	}
}

func TestFrontendStatus(t *testing.T) {
	owner := service("owner", "10.96.0.9", "10.244.2.9")
	for _, tc := range []struct {
		name   string
		in     services.Input
		hns    []hnslb.Endpoint
		lbs    []hnslb.LoadBalancer
		state  FrontendState
		reason desired.Reason
		words  string
	}{
		{name: "in force", in: service("a", "10.96.0.1", "10.244.2.1"), state: Programmed},
		{name: "no endpoint", in: service("a", "10.96.0.1"), state: Blocked, reason: desired.NoEndpoints},
		{name: "no local endpoint yet", in: service("a", "10.96.0.1", "10.244.1.1/p"), state: Blocked, reason: desired.LocalMissing, words: "10.244.1.1"},
		{name: "programmed without a local endpoint", in: service("a", "10.96.0.1", "10.244.1.1/p", "10.244.2.1"), state: Pending,
			reason: desired.LocalAwaited, words: "10.244.1.1"},
		{name: "with its local endpoint", in: service("a", "10.96.0.1", "10.244.1.1/p"), hns: []hnslb.Endpoint{local("10.244.1.1")}, state: Programmed},
		{name: "another Service's cluster IP", in: service("a", "10.96.0.1", "10.96.0.9"), state: Blocked, reason: desired.AddressTaken, words: "default/owner"},
		{name: "another Service's cluster IP, and a pod", in: service("a", "10.96.0.1", "10.96.0.9", "10.244.2.1"), state: Programmed,
			reason: desired.AddressTaken, words: "default/owner"},
		{name: "somebody else's load balancer", in: service("a", "10.96.0.1", "10.244.2.1"), hns: []hnslb.Endpoint{{ID: "x", Network: "other"}},
			lbs: []hnslb.LoadBalancer{balancer("foreign", "10.96.0.1", "x")}, state: Blocked, reason: desired.ForeignHolder, words: "foreign"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			b.eps, b.lbs = tc.hns, tc.lbs
			b.run(0)
			b.SetServices([]services.Input{tc.in, owner})
			b.run(time.Minute)
			if got := b.status("a"); got.State != tc.state || got.Note.Reason != tc.reason || !strings.Contains(got.Note.Message, tc.words) {
				t.Errorf("%s: %v, want %s: %s %s", got.State, got.Note, tc.state, tc.reason, tc.words)
			}
		})
	}
}

// TestRemedy: of a port that is in use a person can do something.
func TestRemedy(t *testing.T) {
	port, vip := hnslb.FrontendKey{Port: 30080}, hnslb.FrontendKey{VIP: addr("10.96.0.1"), Port: 80}
	for _, tc := range []struct {
		name string
		err  error
		key  hnslb.FrontendKey
		want string
	}{
		{"node port", refused(hnslb.PortInUse), port, "free port 30080"},
		{"cluster IP", refused(hnslb.PortInUse), vip, "enable DSR"},
		{"something else", refused(hnslb.Invalid), port, ""},
	} {
		if got := remedy(tc.err, tc.key); !strings.Contains(got, tc.want) || tc.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
