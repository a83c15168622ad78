// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// several makes Services a, b, c, ... with a backend each.
func several(n int) []services.Input {
	var out []services.Input
	for i := range n {
		out = append(out, service(string(rune('a'+i)), fmt.Sprintf("10.96.0.%d", i+1), fmt.Sprintf("10.244.2.%d", i+1)))
	}
	return out
}

func TestTwoCallsAtATime(t *testing.T) {
	b := atRest(t)
	b.SetServices(several(5))
	r := b.ready()
	wantCalls(t, r.Calls, "CreateEndpoint 10.244.2.1", "CreateEndpoint 10.244.2.2")
	if more := b.ready(); len(more.Calls) > 0 {
		t.Fatalf("a third call: %v", callTexts(more.Calls))
	}
	b.succeed(r.Calls[1])
	if more := b.ready(); len(more.Calls) != 1 {
		t.Errorf("one returned, and these were begun: %v", callTexts(more.Calls))
	}
}

// TestShare: HNS gets its rest after each call.
func TestShare(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Share = 0.25 })
	b.run(0)
	b.SetServices(several(1))
	b.answer(b.ready())
	r := b.ready()
	call := b.one(r, "CreateEndpoint 10.244.2.1")
	b.after(100 * time.Millisecond)
	b.succeed(call)
	wantCalls(t, b.after(300*time.Millisecond-1).Calls)
	wantCalls(t, b.after(1).Calls, "CreateLoadBalancer 10.96.0.1:80/TCP")
}

// TestShareSparesTheDark: no rest prolongs the time between the deletion of a load balancer and
// its creation (law 8). It follows then.
func TestShareSparesTheDark(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Share = 0.25 })
	b.run(0)
	b.modify.supported = false
	b.SetServices(several(1))
	b.run(time.Minute)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.3.1")})
	for range 20 {
		r := b.ready()
		if len(r.Calls) == 0 {
			r = b.after(time.Second)
		}
		c := r.Calls[0]
		b.after(100 * time.Millisecond)
		b.succeed(c)
		if c.Step.Verb() != hnslb.VerbDeleteLoadBalancer {
			continue
		}
		b.succeed(b.one(b.ready(), "CreateLoadBalancer 10.96.0.1:80/TCP"))
		if r := b.ready(); len(r.Calls) > 0 {
			t.Error("no rest after it")
		}
		return
	}
	t.Error("nothing was deleted")
}

// TestShareAfterHang: a call that returns after an hour is no reason to rest for three.
func TestShareAfterHang(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Share = 0.25 })
	b.run(0)
	b.SetServices(several(1))
	b.answer(b.ready())
	hung := b.one(b.ready(), "CreateEndpoint 10.244.2.1")
	b.after(time.Hour)
	b.succeed(hung)
	b.SetServices(several(2))
	r := b.after(time.Second)
	b.answer(r)
	if r := b.after(time.Second); len(r.Calls) == 0 {
		t.Errorf("rests until %s after", r.Wake.Sub(b.clock))
	}
}

// TestDarkForOneCall: nothing comes between the deletion of a load balancer and its
// creation (law 8), and its endpoints are made before.
func TestDarkForOneCall(t *testing.T) {
	b := atRest(t)
	b.modify.supported = false
	inputs := several(3)
	b.SetServices(inputs)
	b.run(10 * time.Second)
	b.clear()
	for i := range inputs {
		inputs[i] = service(inputs[i].Name.Name, fmt.Sprintf("10.96.0.%d", i+1), fmt.Sprintf("10.244.3.%d", i+1))
	}
	b.SetServices(append(inputs, several(6)[3:]...))
	var open []Call
	dark := ""
	for range 100 {
		for _, c := range b.ready().Calls {
			key := c.Step.Object()
			switch {
			case dark != "" && (c.Step.Verb() != hnslb.VerbCreateLoadBalancer || key != dark):
				t.Fatalf("%s is dark, and %s is begun", dark, callText(c))
			case c.Step.Verb() == hnslb.VerbDeleteLoadBalancer:
				if dark = key; len(open) > 0 {
					t.Fatalf("%s is begun beside %s", callText(c), callText(open[0]))
				}
			default:
				dark = ""
			}
			open = append(open, c)
		}
		if len(open) == 0 {
			break
		}
		b.succeed(open[0])
		open = open[1:]
	}
	deletes := 0
	for _, line := range b.log {
		if strings.HasPrefix(line, "DeleteLoadBalancer") {
			deletes++
		}
	}
	if deletes != 3 || len(b.lbs) != 6 {
		t.Errorf("%d load balancers made anew, want 3; HNS has %d, want 6", deletes, len(b.lbs))
	}
}

// TestStop: nothing is begun any more but the creation that a deletion calls for.
func TestStop(t *testing.T) {
	b := atRest(t, several(1)...)
	b.modify.supported = false
	b.SetServices(append(several(2)[1:], service("a", "10.96.0.1", "10.244.2.1", "10.244.2.2")))
	c := b.begun("DeleteLoadBalancer 10.96.0.1:80/TCP")
	b.Stop()
	b.succeed(c)
	if !b.Finishing() {
		t.Error("a load balancer is missing, and the engine has finished")
	}
	b.SetServices(several(5)[2:])
	b.succeed(b.one(b.ready(), "CreateLoadBalancer 10.96.0.1:80/TCP"))
	wantCalls(t, b.ready().Calls)
	if b.Finishing() {
		t.Error("the engine has not finished")
	}
}

// TestStopOnASlowHNS: deletions that hang when the engine is stopped are waited for, and what they
// took away is made again, on an endpoint that is there.
func TestStopOnASlowHNS(t *testing.T) {
	const remove = "DeleteLoadBalancer 10.96.0.1:80/TCP"
	for _, tc := range []struct {
		name  string
		then  func(b *bench, c Call)
		calls []string
	}{
		{"deleted", func(b *bench, c Call) { b.succeed(c) }, []string{"CreateLoadBalancer 10.96.0.1:80/TCP"}},
		{"refused", func(b *bench, c Call) { b.fail(c, refused(hnslb.Other)) }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := atRest(t, several(1)...)
			b.modify.supported = false
			b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1", "10.244.2.2")})
			c := b.begun(remove)
			b.after(time.Second)
			b.Stop()
			if r := b.ready(); len(r.Calls) > 0 || !b.Finishing() {
				t.Fatalf("calls %v, finishing %v", callTexts(r.Calls), b.Finishing())
			}
			tc.then(b, c)
			r := b.ready()
			wantCalls(t, r.Calls, tc.calls...)
			b.answer(r)
			if b.Finishing() {
				t.Error("the engine has not finished")
			}
		})
	}
}

// TestStopDoesNotWaitForStuckCalls: what has hung for long is not worth a wait.
func TestStopDoesNotWaitForStuckCalls(t *testing.T) {
	b := atRest(t, several(1)...)
	b.modify.supported = false
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1", "10.244.2.2")})
	b.begun("DeleteLoadBalancer 10.96.0.1:80/TCP")
	b.after(time.Second)
	b.after(2 * b.callTimeout())
	b.Stop()
	if b.Finishing() {
		t.Error("the engine waits")
	}
}

// TestSharedEndpoint: an endpoint that two Services need is made once, and both go on when
// it is there.
func TestSharedEndpoint(t *testing.T) {
	b := atRest(t)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1"), service("b", "10.96.0.2", "10.244.2.1")})
	b.succeed(b.one(b.ready(), "CreateEndpoint 10.244.2.1"))
	wantCalls(t, b.ready().Calls, "CreateLoadBalancer 10.96.0.1:80/TCP", "CreateLoadBalancer 10.96.0.2:80/TCP")
}

// TestSharedEndpointRefused: both go on without an endpoint that is refused (law 9).
func TestSharedEndpointRefused(t *testing.T) {
	b := atRest(t)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1", "10.244.2.2"), service("b", "10.96.0.2", "10.244.2.1", "10.244.2.2")})
	r := b.ready()
	wantCalls(t, r.Calls, "CreateEndpoint 10.244.2.1", "CreateEndpoint 10.244.2.2")
	b.fail(r.Calls[0], refused(hnslb.Other))
	b.succeed(r.Calls[1])
	r = b.ready()
	wantCalls(t, r.Calls, "CreateLoadBalancer 10.96.0.1:80/TCP", "CreateLoadBalancer 10.96.0.2:80/TCP")
	b.answer(r)
	b.ready()
	for _, name := range []string{"a", "b"} {
		if got := b.status(name); got.State != Failing || got.Note.Reason != "EndpointFailing" {
			t.Errorf("%s is %s: %v", name, got.State, got.Note)
		}
	}
	b.run(time.Second)
	for _, name := range []string{"a", "b"} {
		if got := b.status(name); got.State != Programmed {
			t.Errorf("after the next try %s is %s: %v", name, got.State, got.Note)
		}
	}
}

// hung is a bench in which the creation of the load balancer of Service a does not return,
// and gave its place away.
func hung(t *testing.T) (*bench, Call) {
	t.Helper()
	b := atRest(t)
	b.SetServices(several(1))
	b.succeed(b.one(b.ready(), "CreateEndpoint 10.244.2.1"))
	stuck := b.one(b.ready(), "CreateLoadBalancer 10.96.0.1:80/TCP")
	b.after(minHangAfter)
	b.clear()
	return b, stuck
}

func TestHangingCall(t *testing.T) {
	const again = "CreateLoadBalancer 10.96.0.1:80/TCP"
	t.Run("it gives its place to others", func(t *testing.T) {
		b := atRest(t)
		b.SetServices(several(5))
		b.ready()
		if r := b.after(minSlowAfter - 1); len(r.Calls) > 0 {
			t.Fatalf("before they are slow: %v", callTexts(r.Calls))
		}
		slow := b.after(1)
		wantCalls(t, slow.Calls, "CreateEndpoint 10.244.2.3") // both give one place away
		b.succeed(slow.Calls[0])
		third := b.ready()
		wantCalls(t, third.Calls, "CreateLoadBalancer 10.96.0.3:80/TCP")
		if r := b.after(minHangAfter - minSlowAfter - 1); len(r.Calls) > 0 {
			t.Fatalf("before the patience is at an end: %v", callTexts(r.Calls))
		}
		if len(b.unknown) > 0 {
			t.Fatalf("in doubt already: %v", b.unknown)
		}
		wantCalls(t, b.after(1).Calls, "CreateEndpoint 10.244.2.4", "CreateEndpoint 10.244.2.5")
	})
	t.Run("only its object waits, for ever, whatever lists show", func(t *testing.T) {
		b, _ := hung(t)
		b.SetServices(several(4)[1:])
		b.run(3 * time.Hour)
		if len(b.log) != 6 || slices.Contains(b.log, again) {
			t.Errorf("calls: %v, want those of the other three", b.log)
		}
		if told := only[Hanging](b.transitions); len(told) != 1 || told[0].Verb != hnslb.VerbCreateLoadBalancer || told[0].For < b.cfg.CallTimeout {
			t.Errorf("told: %v", told)
		}
		if got := b.status("a"); got.State != Failing || got.Note.Reason != "HNSTimeout" {
			t.Errorf("a is %s: %v", got.State, got.Note)
		}
	})
	t.Run("it is tried again when HNS ended", func(t *testing.T) {
		b, _ := hung(t)
		b.run(time.Hour)
		b.ServiceChanged()
		b.run(time.Minute)
		if !slices.Equal(b.log, []string{again}) || b.status("a").State != Programmed {
			t.Errorf("calls: %v, a is %s", b.log, b.status("a").State)
		}
	})
	t.Run("late success counts", func(t *testing.T) {
		b, stuck := hung(t)
		b.run(time.Minute)
		b.succeed(stuck)
		b.run(time.Hour)
		if len(b.log) > 0 || b.status("a").State != Programmed {
			t.Errorf("calls: %v, a is %s", b.log, b.status("a").State)
		}
	})
	t.Run("after a late refusal it is tried again", func(t *testing.T) {
		b, stuck := hung(t)
		b.run(time.Minute)
		b.fail(stuck, refused(hnslb.Other))
		b.run(time.Minute)
		if !slices.Equal(b.log, []string{again}) || b.status("a").State != Programmed {
			t.Errorf("calls: %v, a is %s", b.log, b.status("a").State)
		}
	})
	t.Run("its work shows in a list", func(t *testing.T) {
		b, stuck := hung(t)
		b.apply(stuck)
		b.run(time.Minute)
		if len(b.log) > 0 || b.status("a").State != Programmed {
			t.Errorf("calls: %v, a is %s", b.log, b.status("a").State)
		}
	})
	t.Run("a frontend goes on without an endpoint that hangs", func(t *testing.T) {
		b := atRest(t)
		b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1", "10.244.2.2")})
		b.succeed(b.ready().Calls[1])
		wantCalls(t, b.ready().Calls)
		r := b.after(minHangAfter)
		if c := b.one(r, "CreateLoadBalancer 10.96.0.1:80/TCP"); len(target(c).LoadBalancer.Endpoints) != 1 {
			t.Errorf("it names %v, want the one that is there", target(c).LoadBalancer.Endpoints)
		}
	})
}

// TestCriticalFirst: others wait until cluster DNS is written.
func TestCriticalFirst(t *testing.T) {
	b := atRest(t)
	b.SetServices(append(several(3), dns("10.244.2.9")))
	b.succeed(b.one(b.ready(), "CreateEndpoint 10.244.2.9"))
	b.succeed(b.one(b.ready(), "CreateLoadBalancer 10.96.0.10:53/TCP"))
	wantCalls(t, b.ready().Calls, "CreateEndpoint 10.244.2.1", "CreateEndpoint 10.244.2.2")
}

// TestPinnedEndpoint: an endpoint is not deleted while a load balancer is written that names
// it, or may have been.
func TestPinnedEndpoint(t *testing.T) {
	for _, tc := range []struct {
		name  string
		end   func(b *bench, c Call)
		calls []string
	}{
		{"written", func(b *bench, c Call) { b.succeed(c) }, []string{"DeleteLoadBalancer 10.96.0.1:80/TCP", "DeleteEndpoint 10.244.2.1"}},
		{"refused", func(b *bench, c Call) { b.fail(c, refused(hnslb.Other)) }, []string{"DeleteEndpoint 10.244.2.1"}},
		{"unknown, and made", func(b *bench, c Call) {
			b.apply(c)
			b.fail(c, refused(hnslb.Timeout))
		}, []string{"DeleteLoadBalancer 10.96.0.1:80/TCP", "DeleteEndpoint 10.244.2.1"}},
		{"unknown, and not made", func(b *bench, c Call) { b.fail(c, refused(hnslb.Timeout)) }, []string{"DeleteEndpoint 10.244.2.1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := atRest(t)
			in := service("a", "10.96.0.1", "10.244.2.1")
			b.SetServices([]services.Input{in})
			b.succeed(b.one(b.ready(), "CreateEndpoint 10.244.2.1"))
			writing := b.one(b.ready(), "CreateLoadBalancer 10.96.0.1:80/TCP")
			b.clear()
			b.SetServices([]services.Input{without(in)})
			wantCalls(t, b.ready().Calls)
			tc.end(b, writing)
			b.run(time.Minute)
			if !slices.Equal(b.log, tc.calls) || len(b.eps)+len(b.lbs) > 0 {
				t.Errorf("calls %v, want %v; HNS still has %v, %v", b.log, tc.calls, b.eps, b.lbs)
			}
		})
	}
}
