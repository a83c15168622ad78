// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

var addrsAreValues = cmpopts.EquateComparable(netip.Addr{})

func wantEndpoints(t *testing.T, l *endpointLister, want []hnslb.Endpoint) {
	t.Helper()
	got, err := l.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, addrsAreValues, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
}

func wantBalancers(t *testing.T, l *balancerLister, want []hnslb.LoadBalancer) {
	t.Helper()
	got, err := l.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byID := cmpopts.SortSlices(func(a, b hnslb.LoadBalancer) bool { return a.ID < b.ID })
	if diff := cmp.Diff(want, got, addrsAreValues, byID, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("load balancers (-want +got):\n%s", diff)
	}
}

func wantCalls(t *testing.T, f *fakeHNS, what string, want int) {
	t.Helper()
	if got := f.asked(); got != want {
		t.Errorf("%s: %d HNS calls, want %d", what, got, want)
	}
}

// noWarning fails the test when V1 is given up.
func noWarning(t *testing.T) func(string) {
	t.Helper()
	return func(m string) { t.Errorf("unexpected warning: %s", m) }
}

// oneWarning returns the function to pass, and one that tells whether it was called once
// with the ID in the message.
func oneWarning(t *testing.T) (warn func(string), check func(id hnslb.ID)) {
	t.Helper()
	var got []string
	return func(m string) { got = append(got, m) }, func(id hnslb.ID) {
		t.Helper()
		if len(got) != 1 || !strings.Contains(got[0], string(id)) {
			t.Errorf("warnings %q, want one about %s", got, id)
		}
	}
}

// TestEndpointsCost: one call and four for each new shape, whatever the number of
// endpoints; then one call.
func TestEndpointsCost(t *testing.T) {
	f := &fakeHNS{endpoints: someEndpoints(1000)}
	l := newEndpointLister(f, noWarning(t))
	wantEndpoints(t, l, f.endpoints)
	wantCalls(t, f, "first list", 1+5*4)
	wantEndpoints(t, l, f.endpoints)
	wantCalls(t, f, "second list", 1)

	f.endpoints = append(f.endpoints, hnslb.Endpoint{ID: "new", Remote: true, IPs: []netip.Addr{netip.MustParseAddr("fd00::2")}})
	wantEndpoints(t, l, f.endpoints)
	wantCalls(t, f, "a new shape", 1+4)
}

// TestBalancersCost: the first list costs what V2 costs, later ones one call, and an object
// that somebody else made four more, once.
func TestBalancersCost(t *testing.T) {
	f := &fakeHNS{balancers: someBalancers(100)}
	l := newBalancerLister(f, noWarning(t))
	wantBalancers(t, l, f.balancers)
	wantCalls(t, f, "first list", 1+1+3*100)
	wantBalancers(t, l, f.balancers)
	wantCalls(t, f, "second list", 1)

	f.balancers[7].Endpoints = []hnslb.ID{"e9"}
	f.balancers[8].SourceVIP = netip.MustParseAddr("10.0.0.3")
	f.balancers[9].Mappings[0].InternalPort = 9090
	wantBalancers(t, l, f.balancers)
	wantCalls(t, f, "changed in place", 1)

	foreign := someBalancers(102)[100:]
	f.balancers = append(f.balancers[1:], foreign...)
	l.remember(foreign[0]) // as after a create
	wantBalancers(t, l, f.balancers)
	wantCalls(t, f, "one made here, one elsewhere, one gone", 1+4)
	if len(l.hidden) != len(f.balancers) {
		t.Errorf("remembers %d objects, there are %d", len(l.hidden), len(f.balancers))
	}
	l.forget(foreign[0].ID)
	wantBalancers(t, l, f.balancers)
	wantCalls(t, f, "forgotten", 1+4)

	f.balancers = append(f.balancers, someBalancers(1000)[500:]...)
	wantBalancers(t, l, f.balancers)
	wantCalls(t, f, "mostly unknown", 1+1+3*601)
}

// TestDegraded: whichever interface an object is read through, it is as degraded as V1 shows it,
// which is nothing that the two could disagree about.
func TestDegraded(t *testing.T) {
	f := &fakeHNS{balancers: someBalancers(40)}
	sick := map[hnslb.ID]bool{"l3": true}
	f.v1Balancer = func(lb v1LoadBalancer) v1LoadBalancer {
		lb.Degraded = sick[lb.ID]
		return lb
	}
	l := newBalancerLister(f, noWarning(t))
	check := func(what string, calls int, want ...hnslb.ID) {
		t.Helper()
		all, err := l.list(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got []hnslb.ID
		for _, lb := range all {
			if lb.Degraded {
				got = append(got, lb.ID)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		wantCalls(t, f, what, calls)
	}
	check("all through V2", 1+1+3*40, "l3")
	sick["l5"] = true
	check("from memory", 1, "l3", "l5")
	l.forget("l5")
	check("one through V2", 1+4, "l3", "l5")
	delete(sick, "l3")
	check("healthy again", 1, "l5")
}

// TestBalancersBelongToCaller: changing a result does not change the next one.
func TestBalancersBelongToCaller(t *testing.T) {
	f := &fakeHNS{balancers: someBalancers(1)}
	l := newBalancerLister(f, noWarning(t))
	wantBalancers(t, l, f.balancers)
	got, err := l.list(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got[0].Mappings[0].Flags, got[0].Flags = 0, 0
	wantBalancers(t, l, f.balancers)
}

// TestBalancersWithoutV1Form: what V1 cannot show is asked every time and stays out of the
// comparison.
func TestBalancersWithoutV1Form(t *testing.T) {
	f := &fakeHNS{balancers: someBalancers(40)}
	f.balancers[0].Mappings = nil
	f.balancers[1].Mappings = append(f.balancers[1].Mappings, hnslb.PortMapping{Protocol: hnslb.UDP})
	// V2 has one mapping, which would do, and V1 is at a loss.
	f.v1Balancer = func(lb v1LoadBalancer) v1LoadBalancer {
		if lb.ID == "l2" {
			lb.Mappings, lb.Whole = nil, false
		}
		return lb
	}
	// A policy list that V2 does not count as a load balancer.
	f.v1Extra = []v1LoadBalancer{{LoadBalancer: hnslb.LoadBalancer{ID: "wildcard", Mappings: make([]hnslb.PortMapping, 1)}}}
	l := newBalancerLister(f, noWarning(t))
	wantBalancers(t, l, f.balancers)
	f.asked()
	wantBalancers(t, l, f.balancers)
	wantCalls(t, f, "three without a V1 form, one that V2 lacks", 1+3*4+1)
}

// TestEmptyV1IsNotBelieved: "all is gone" is confirmed through V2.
func TestEmptyV1IsNotBelieved(t *testing.T) {
	f := &fakeHNS{}
	endpoints, balancers := newEndpointLister(f, noWarning(t)), newBalancerLister(f, noWarning(t))
	wantEndpoints(t, endpoints, nil)
	wantCalls(t, f, "endpoints, truly none", 2)
	wantBalancers(t, balancers, nil)
	wantCalls(t, f, "load balancers, truly none", 2)

	f.endpoints, f.balancers = someEndpoints(1), someBalancers(1)
	f.v1Without = f.endpoints[0].ID
	wantEndpoints(t, endpoints, f.endpoints)
	f.v1Without = f.balancers[0].ID
	wantBalancers(t, balancers, f.balancers)
}

// TestV1Fails: V2 answers, and decides how a failure is classed.
func TestV1Fails(t *testing.T) {
	f := &fakeHNS{endpoints: someEndpoints(3), balancers: someBalancers(3), v1Err: errors.New("hns failed with error : ")}
	endpoints, balancers := newEndpointLister(f, noWarning(t)), newBalancerLister(f, noWarning(t))
	wantEndpoints(t, endpoints, f.endpoints)
	wantBalancers(t, balancers, f.balancers)

	f.v2Errs = []error{away, away}
	if _, err := endpoints.list(t.Context()); !errors.Is(err, away) {
		t.Errorf("endpoints: %v, want V2's error", err)
	}
	if _, err := balancers.list(t.Context()); !errors.Is(err, away) {
		t.Errorf("load balancers: %v, want V2's error", err)
	}
}

// TestV2ListTriesAgain: an object that vanishes under a V2 list costs another try, and too
// many never read as "absent".
func TestV2ListTriesAgain(t *testing.T) {
	for tries := range 7 {
		t.Run(fmt.Sprint(tries), func(t *testing.T) {
			f := &fakeHNS{endpoints: someEndpoints(2), balancers: someBalancers(2), v1Err: away}
			endpoints, balancers := newEndpointLister(f, noWarning(t)), newBalancerLister(f, noWarning(t))
			want := hnslb.Class("")
			if tries >= 5 {
				want = hnslb.Unavailable
			}
			f.v2Errs = slices.Repeat([]error{vanished}, tries)
			if all, err := endpoints.list(t.Context()); hnslb.ErrorClass(err) != want || err == nil && len(all) != 2 {
				t.Errorf("%d endpoints, %v; want class %q", len(all), err, want)
			}
			f.v2Errs = slices.Repeat([]error{vanished}, tries)
			if all, err := balancers.list(t.Context()); hnslb.ErrorClass(err) != want || err == nil && len(all) != 2 {
				t.Errorf("%d load balancers, %v; want class %q", len(all), err, want)
			}
		})
	}
}

// TestEndpointsDisagree: whatever V1 shows otherwise than V2, it is given up, V2's answer
// is returned, and that is said once.
func TestEndpointsDisagree(t *testing.T) {
	for name, change := range map[string]func(*hnslb.Endpoint){
		"network":          func(e *hnslb.Endpoint) { e.Network = "other" },
		"name":             func(e *hnslb.Endpoint) { e.Name = "" },
		"address":          func(e *hnslb.Endpoint) { e.IPs = []netip.Addr{netip.MustParseAddr("10.9.9.9")} },
		"MAC":              func(e *hnslb.Endpoint) { e.MAC = "" },
		"remote":           func(e *hnslb.Endpoint) { e.Remote = false },
		"provider address": func(e *hnslb.Endpoint) { e.ProviderAddress = netip.Addr{} },
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeHNS{endpoints: someEndpoints(20)}
			f.v1Endpoint = func(e hnslb.Endpoint) hnslb.Endpoint {
				if e.ID == "e2" {
					change(&e)
				}
				return e
			}
			warn, check := oneWarning(t)
			l := newEndpointLister(f, warn)
			wantEndpoints(t, l, f.endpoints)
			f.asked()
			wantEndpoints(t, l, f.endpoints)
			wantCalls(t, f, "from then on", 1+3*20)
			check("e2")
		})
	}
	t.Run("MAC in another case and addresses in another order are no difference", func(t *testing.T) {
		f := &fakeHNS{endpoints: someEndpoints(20)}
		l := newEndpointLister(f, noWarning(t))
		f.v1Endpoint = func(e hnslb.Endpoint) hnslb.Endpoint {
			e.MAC, e.IPs = strings.ToUpper(e.MAC), slices.Clone(e.IPs)
			slices.Reverse(e.IPs)
			return e
		}
		if _, err := l.list(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestBalancersDisagree is TestEndpointsDisagree for load balancers, on a full list and on
// the detail of one.
func TestBalancersDisagree(t *testing.T) {
	for name, change := range map[string]func(*v1LoadBalancer){
		"endpoints":     func(lb *v1LoadBalancer) { lb.Endpoints = lb.Endpoints[:1] },
		"source VIP":    func(lb *v1LoadBalancer) { lb.SourceVIP = netip.MustParseAddr("10.0.0.9") },
		"VIP":           func(lb *v1LoadBalancer) { lb.VIPs = nil },
		"protocol":      func(lb *v1LoadBalancer) { lb.Mappings[0].Protocol = hnslb.UDP },
		"internal port": func(lb *v1LoadBalancer) { lb.Mappings[0].InternalPort = 1 },
		"external port": func(lb *v1LoadBalancer) { lb.Mappings[0].ExternalPort = 1 },
	} {
		for _, which := range []hnslb.ID{"l3", "l20"} { // known from the start, made later
			t.Run(name+" of "+string(which), func(t *testing.T) {
				f := &fakeHNS{balancers: someBalancers(20)}
				f.v1Balancer = func(lb v1LoadBalancer) v1LoadBalancer {
					if lb.ID == which {
						change(&lb)
					}
					return lb
				}
				warn, check := oneWarning(t)
				l := newBalancerLister(f, warn)
				wantBalancers(t, l, f.balancers)
				f.balancers = someBalancers(21)
				wantBalancers(t, l, f.balancers)
				f.asked()
				wantBalancers(t, l, f.balancers)
				wantCalls(t, f, "from then on", 1+3*21)
				check(which)
			})
		}
	}
	t.Run("endpoints in another order are no difference", func(t *testing.T) {
		f := &fakeHNS{balancers: someBalancers(3)}
		f.v1Balancer = func(lb v1LoadBalancer) v1LoadBalancer {
			lb.Endpoints = slices.Clone(lb.Endpoints)
			slices.Reverse(lb.Endpoints)
			return lb
		}
		wantBalancers(t, newBalancerLister(f, noWarning(t)), f.balancers)
	})
}

// TestBalancersUnshared: V1 is given up when it hides an object, or shows one that V2
// lacks.
func TestBalancersUnshared(t *testing.T) {
	t.Run("V1 hides one", func(t *testing.T) {
		f := &fakeHNS{balancers: someBalancers(3), v1Without: "l1"}
		warn, check := oneWarning(t)
		wantBalancers(t, newBalancerLister(f, warn), f.balancers)
		check("l1")
	})
	ghost := v1LoadBalancer{LoadBalancer: hnslb.LoadBalancer{
		ID: "l99", Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 1, ExternalPort: 2}},
	}, Whole: true}
	t.Run("V1 shows a ghost on the first list", func(t *testing.T) {
		f := &fakeHNS{balancers: someBalancers(3), v1Extra: []v1LoadBalancer{ghost}}
		warn, check := oneWarning(t)
		wantBalancers(t, newBalancerLister(f, warn), f.balancers)
		check("l99")
	})
	t.Run("V1 shows a ghost later", func(t *testing.T) {
		f := &fakeHNS{balancers: someBalancers(30)}
		warn, check := oneWarning(t)
		l := newBalancerLister(f, warn)
		wantBalancers(t, l, f.balancers)
		f.v1Extra = []v1LoadBalancer{ghost}
		wantBalancers(t, l, f.balancers)
		check("l99")
	})
}

// ghostSource shows one more endpoint through V1 than V2 has.
type ghostSource struct {
	*fakeHNS
	ghost hnslb.Endpoint
}

func (g ghostSource) v1Endpoints() ([]hnslb.Endpoint, error) {
	all, err := g.fakeHNS.v1Endpoints()
	return append(all, g.ghost), err
}

// TestGhostEndpoint: V1 is given up over an endpoint that it keeps showing and V2 lacks.
func TestGhostEndpoint(t *testing.T) {
	f := &fakeHNS{endpoints: someEndpoints(5)}
	warn, check := oneWarning(t)
	ghost := hnslb.Endpoint{ID: "ghost", Remote: true, IPs: []netip.Addr{netip.MustParseAddr("fd00::5")}}
	wantEndpoints(t, newEndpointLister(ghostSource{f, ghost}, warn), f.endpoints)
	check("ghost")
}

// TestChangingIsNoDisagreement: an object that changes, comes or goes between the looks is
// no reason to give up V1.
func TestChangingIsNoDisagreement(t *testing.T) {
	for name, change := range map[string]func(f *fakeHNS){
		"changed": func(f *fakeHNS) {
			f.balancers[1].Endpoints = []hnslb.ID{"e7"}
			f.endpoints[1].IPs = []netip.Addr{netip.MustParseAddr("10.7.7.7")}
		},
		"gone": func(f *fakeHNS) {
			f.balancers = slices.Delete(f.balancers, 1, 2)
			f.endpoints = slices.Delete(f.endpoints, 1, 2)
		},
		"made": func(f *fakeHNS) {
			f.balancers = append(f.balancers, someBalancers(50)[49])
			f.endpoints = append(f.endpoints, someEndpoints(50)[49])
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeHNS{endpoints: someEndpoints(10), balancers: someBalancers(10)}
			once := true
			f.between = func() {
				if once {
					once = false
					change(f)
				}
			}
			l := newBalancerLister(f, noWarning(t))
			if _, err := l.list(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantBalancers(t, l, f.balancers)

			once = true
			e := newEndpointLister(f, noWarning(t))
			if _, err := e.list(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantEndpoints(t, e, f.endpoints)
		})
	}
}

// TestDetailFails: when HNS goes away in the middle, the list fails as a whole.
func TestDetailFails(t *testing.T) {
	f := &fakeHNS{endpoints: someEndpoints(10), balancers: someBalancers(10)}
	l := newBalancerLister(f, noWarning(t))
	wantBalancers(t, l, f.balancers)
	f.balancers = someBalancers(11)
	broken := newBalancerLister(detailAway{f}, noWarning(t))
	broken.hidden = l.hidden
	if all, err := broken.list(t.Context()); !errors.Is(err, away) || all != nil {
		t.Errorf("load balancers %v, %v; want only the error", all, err)
	}
	if all, err := newEndpointLister(detailAway{f}, noWarning(t)).list(t.Context()); !errors.Is(err, away) || all != nil {
		t.Errorf("endpoints %v, %v; want only the error", all, err)
	}
}

// detailAway fails each V2 call about one object.
type detailAway struct{ *fakeHNS }

func (detailAway) v2Endpoint(hnslb.ID) (hnslb.Endpoint, error) { return hnslb.Endpoint{}, away }
func (detailAway) v2LoadBalancer(hnslb.ID) (hnslb.LoadBalancer, error) {
	return hnslb.LoadBalancer{}, away
}

// TestListContext: a list ends between calls when its context does, also while it waits for
// another list.
func TestListContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeHNS{endpoints: someEndpoints(10), balancers: someBalancers(10)}
		ctx, cancel := context.WithCancel(t.Context())
		f.between = cancel
		if _, err := newEndpointLister(f, noWarning(t)).list(ctx); hnslb.ErrorClass(err) != hnslb.Timeout {
			t.Errorf("endpoints: %v, want class timeout", err)
		}
		if f.v2Objects != 0 {
			t.Errorf("%d objects asked after the end", f.v2Objects)
		}
		f.between = nil
		f.asked()
		if _, err := newBalancerLister(f, noWarning(t)).list(ctx); hnslb.ErrorClass(err) != hnslb.Timeout {
			t.Errorf("load balancers: %v, want class timeout", err)
		}
		wantCalls(t, f, "context ended before", 0)

		l := newBalancerLister(f, noWarning(t))
		l.turn <- struct{}{} // another list hangs
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.list(ctx); hnslb.ErrorClass(err) != hnslb.Timeout || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting: %v, want class timeout", err)
		}
		<-l.turn
		wantBalancers(t, l, f.balancers)
	})
}
