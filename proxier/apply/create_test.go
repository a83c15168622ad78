// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package apply_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/apply"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/observed"
	"github.com/hnsproxy/hnsproxy/proxier/plan"
)

// slowHNS takes a second for the creation of an endpoint, half a second to fail, any number at once.
type slowHNS struct {
	hnslb.Driver
	errs map[netip.Addr]error

	mu            sync.Mutex
	begun         []netip.Addr
	now, most     int
	balancers     int
	balancerEarly bool
}

func (h *slowHNS) CreateEndpoint(_ context.Context, e hnslb.Endpoint) (hnslb.Endpoint, error) {
	h.mu.Lock()
	h.begun = append(h.begun, e.IPs[0])
	h.now++
	h.most = max(h.most, h.now)
	h.mu.Unlock()
	if h.errs[e.IPs[0]] == nil {
		<-time.After(time.Second)
	} else {
		<-time.After(time.Second / 2)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now--
	e.ID = hnslb.ID("id-" + e.IPs[0].String())
	return e, h.errs[e.IPs[0]]
}

func (h *slowHNS) CreateLoadBalancer(_ context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.balancers++
	h.balancerEarly = h.balancerEarly || h.now > 0
	return lb, nil
}

func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 244, 2, byte(i)}) }

// TestWidth: as many endpoints as allowed are made at once, the load balancer after all of them; a failed one keeps the load
// balancer from being written, and one of unknown outcome keeps others from being begun.
func TestWidth(t *testing.T) {
	refused := hnslb.NewError(hnslb.VerbCreateEndpoint, "ep", hnslb.ResultInvalidIP, "")
	lost := &hnslb.Error{Verb: hnslb.VerbCreateEndpoint, Object: "ep", Class: hnslb.Timeout, Err: context.DeadlineExceeded}
	for _, c := range []struct {
		name                    string
		width, endpoints        int
		errs                    map[netip.Addr]error
		held                    int // in the view already
		most, begun, steps, lbs int
		seconds                 time.Duration
		failed                  []netip.Addr
		unknown                 bool
	}{
		{name: "one at a time", width: 1, endpoints: 4, most: 1, begun: 4, steps: 5, lbs: 1, seconds: 4},
		{name: "no width", width: 0, endpoints: 2, most: 1, begun: 2, steps: 3, lbs: 1, seconds: 2},
		{name: "two at once", width: 2, endpoints: 5, most: 2, begun: 5, steps: 6, lbs: 1, seconds: 3},
		{name: "wider than needed", width: 9, endpoints: 3, most: 3, begun: 3, steps: 4, lbs: 1, seconds: 1},
		{name: "some are there", width: 2, endpoints: 4, held: 3, most: 1, begun: 1, steps: 5, lbs: 1, seconds: 1},
		{
			name: "one refused", width: 2, endpoints: 4, errs: map[netip.Addr]error{address(1): refused},
			most: 2, begun: 4, steps: 3, seconds: 2, failed: []netip.Addr{address(1)},
		},
		{
			name: "one lost", width: 2, endpoints: 6, errs: map[netip.Addr]error{address(1): lost},
			most: 2, begun: 2, steps: 1, seconds: 1, failed: []netip.Addr{address(1)}, unknown: true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hns := &slowHNS{errs: c.errs}
				view := observed.New(netip.Addr{})
				view.SetNetwork(hnslb.Network{ID: "n"})
				key := hnslb.FrontendKey{Family: hnslb.IPv4, VIP: netip.MustParseAddr("10.96.0.1"), Protocol: hnslb.TCP, Port: 80}
				last := plan.Step{Op: plan.CreateLoadBalancer, Key: key, Frontend: &desired.Frontend{Key: key}}
				var u plan.Unit
				for i := range c.endpoints {
					e := hnslb.Endpoint{Network: "n", IPs: []netip.Addr{address(i)}, MAC: hnslb.RemoteMAC(address(i)), Remote: true}
					u.Steps = append(u.Steps, plan.Step{Op: plan.CreateEndpoint, Endpoint: e})
					last.Backends = append(last.Backends, address(i))
					if i < c.held {
						e.ID = hnslb.ID(fmt.Sprintf("held-%d", i))
						view.PutEndpoint(e)
					}
				}
				u.Steps = append(u.Steps, last)

				start := time.Now()
				r := apply.Batch(t.Context(), apply.Target{Driver: hns, View: view, Width: c.width}, []plan.Unit{u}, nil)[0]
				took := time.Since(start)
				var failed []netip.Addr
				for ip := range r.Endpoints {
					failed = append(failed, ip)
				}
				type outcome struct {
					Most, Begun, Steps, Balancers int
					Took                          time.Duration
					Failed                        []netip.Addr
					Unknown, Early                bool
				}
				want := outcome{c.most, c.begun, c.steps, c.lbs, c.seconds * time.Second, c.failed, c.unknown, false}
				got := outcome{hns.most, len(hns.begun), r.Steps, hns.balancers, took, failed, r.Unknown, hns.balancerEarly}
				same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
				if diff := cmp.Diff(want, got, same); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				for _, ip := range hns.begun {
					made := !slices.Contains(c.failed, ip)
					if (view.Endpoint(ip) != nil) != made {
						t.Errorf("the view holds %s: %t, want %t", ip, !made, made)
					}
				}
			})
		})
	}
}
