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

// diary takes a second for each call, half a second to fail, and writes down which seconds each took.
type diary struct {
	hnslb.Driver
	begin time.Time
	errs  map[string]error
	stop  chan struct{}

	mu    sync.Mutex
	lines []string
}

// stopSoon stops the batch while its first calls are under way.
func (d *diary) stopSoon() {
	<-time.After(time.Second / 4)
	close(d.stop)
}

func (d *diary) call(what string) error {
	from := time.Since(d.begin)
	took := time.Second
	if d.errs[what] != nil {
		took /= 2
	}
	<-time.After(took)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf("%d-%d %s", int(from.Seconds()), int(time.Since(d.begin).Seconds()), what))
	return d.errs[what]
}

func (d *diary) CreateEndpoint(_ context.Context, e hnslb.Endpoint) (hnslb.Endpoint, error) {
	e.ID = hnslb.ID(e.IPs[0].String())
	return e, d.call("endpoint " + e.IPs[0].String())
}

func (d *diary) DeleteLoadBalancer(_ context.Context, id hnslb.ID) error {
	return d.call("delete " + string(id))
}

func (d *diary) CreateLoadBalancer(_ context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	lb.ID = hnslb.ID(fmt.Sprint("lb-", lb.Mappings[0].ExternalPort))
	return lb, d.call(fmt.Sprint("create ", lb.Mappings[0].ExternalPort))
}

// frontendUnit makes a load balancer on a port with endpoints, after the deletion of another one if replaces.
func frontendUnit(port uint16, replaces bool, hosts ...int) plan.Unit {
	key := hnslb.FrontendKey{Family: hnslb.IPv4, VIP: netip.MustParseAddr("10.96.0.1"), Protocol: hnslb.TCP, Port: port}
	last := plan.Step{Op: plan.CreateLoadBalancer, Key: key, Frontend: &desired.Frontend{Key: key}}
	var u plan.Unit
	for _, host := range hosts {
		e := hnslb.Endpoint{Network: "n", IPs: []netip.Addr{address(host)}, MAC: hnslb.RemoteMAC(address(host)), Remote: true}
		u.Steps = append(u.Steps, plan.Step{Op: plan.CreateEndpoint, Endpoint: e})
		last.Backends = append(last.Backends, address(host))
	}
	if replaces {
		u.Steps = append(u.Steps, plan.Step{Op: plan.DeleteLoadBalancer, ID: hnslb.ID(fmt.Sprint("old-", port)), Key: key})
	}
	u.Steps = append(u.Steps, last)
	return u
}

// TestBatch: units are carried out side by side, an endpoint that several need is made once, the two calls that replace a
// load balancer have HNS for themselves, and nothing is begun after a call of unknown outcome, no unit after a stop.
func TestBatch(t *testing.T) {
	refused := hnslb.NewError(hnslb.VerbCreateEndpoint, "ep", hnslb.ResultInvalidIP, "")
	lost := &hnslb.Error{Verb: hnslb.VerbCreateEndpoint, Object: "ep", Class: hnslb.Timeout, Err: context.DeadlineExceeded}
	for _, c := range []struct {
		name    string
		units   []plan.Unit
		errs    map[string]error
		stopped bool // when the first call begins
		diary   []string
		results []string
	}{
		{
			name:    "side by side",
			units:   []plan.Unit{frontendUnit(1, false, 1), frontendUnit(2, false, 2), frontendUnit(3, false, 3)},
			diary:   []string{"0-1 endpoint 10.244.2.1", "0-1 endpoint 10.244.2.2", "1-2 create 1", "1-2 create 2", "2-3 endpoint 10.244.2.3", "3-4 create 3"},
			results: []string{"2 steps", "2 steps", "2 steps"},
		},
		{
			name:    "shared endpoint",
			units:   []plan.Unit{frontendUnit(1, false, 1), frontendUnit(2, false, 1)},
			diary:   []string{"0-1 endpoint 10.244.2.1", "1-2 create 1", "1-2 create 2"},
			results: []string{"2 steps", "2 steps"},
		},
		{
			name:    "shared endpoint refused",
			units:   []plan.Unit{frontendUnit(1, false, 1), frontendUnit(2, false, 1)},
			errs:    map[string]error{"endpoint 10.244.2.1": refused},
			diary:   []string{"0-0 endpoint 10.244.2.1"},
			results: []string{"0 steps, endpoint 10.244.2.1", "0 steps, endpoint 10.244.2.1"},
		},
		{
			name:    "replacing alone",
			units:   []plan.Unit{frontendUnit(1, true, 1), frontendUnit(2, false, 2)},
			diary:   []string{"0-1 endpoint 10.244.2.2", "1-2 create 2", "2-3 endpoint 10.244.2.1", "3-4 delete old-1", "4-5 create 1"},
			results: []string{"3 steps", "2 steps"},
		},
		{
			name:    "stopped",
			stopped: true,
			units:   []plan.Unit{frontendUnit(1, false, 1), frontendUnit(2, false, 2), frontendUnit(3, false, 3), frontendUnit(4, true, 4)},
			diary:   []string{"0-1 endpoint 10.244.2.1", "0-1 endpoint 10.244.2.2", "1-2 create 1", "1-2 create 2"},
			results: []string{"2 steps", "2 steps", "0 steps, unfinished", "0 steps, unfinished"},
		},
		{
			name:    "doubt ends the batch",
			units:   []plan.Unit{frontendUnit(1, false, 1), frontendUnit(2, false, 2), frontendUnit(3, false, 3), frontendUnit(4, true, 4)},
			errs:    map[string]error{"endpoint 10.244.2.1": lost},
			diary:   []string{"0-0 endpoint 10.244.2.1", "0-1 endpoint 10.244.2.2"},
			results: []string{"0 steps, endpoint 10.244.2.1, unknown, failed", "1 steps, unfinished", "0 steps, unfinished", "0 steps, unfinished"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hns := &diary{begin: time.Now(), errs: c.errs, stop: make(chan struct{})}
				if c.stopped {
					go hns.stopSoon()
				}
				view := observed.New(netip.Addr{})
				view.SetNetwork(hnslb.Network{ID: "n"})
				var results []string
				for _, r := range apply.Batch(t.Context(), apply.Target{Driver: hns, View: view, Width: 2}, c.units, hns.stop) {
					results = append(results, textOf(r))
				}
				slices.Sort(hns.lines)
				if diff := cmp.Diff(c.diary, hns.lines); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.results, results); diff != "" {
					t.Errorf("results (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func textOf(r apply.Result) string {
	s := fmt.Sprintf("%d steps", r.Steps)
	for ip := range r.Endpoints {
		s += ", endpoint " + ip.String()
	}
	for word, is := range map[string]bool{"unknown": r.Unknown, "unfinished": r.Unfinished} {
		if is {
			s += ", " + word
		}
	}
	if r.Err != nil {
		s += ", failed"
	}
	return s
}
