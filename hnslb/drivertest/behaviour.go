// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package drivertest

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// testDangling: HNS does not refuse to delete an endpoint that a load balancer names, and
// the load balancer goes on naming it.
func testDangling(f *fixture) {
	ids := f.remotes(2)
	lb := f.create(balancer(vip(1), ids...))
	f.must(f.driver.DeleteEndpoint(f.Context(), ids[0]))
	f.wantHeld(lb)
	f.must(f.driver.DeleteLoadBalancer(f.Context(), lb.ID))
}

func testDeletedBehind(f *fixture) {
	ep := f.remote(0)
	lb := f.create(balancer(vip(1), ep.ID))
	f.must(f.host.DeleteBehind(lb.ID))
	f.must(f.host.DeleteBehind(ep.ID))
	if _, ok := f.balancer(lb.ID); ok {
		f.Error("HNS lists the deleted load balancer")
	}
	if _, ok := f.endpoint(ep.ID); ok {
		f.Error("HNS lists the deleted endpoint")
	}
	f.wantClass(f.driver.DeleteLoadBalancer(f.Context(), lb.ID), hnslb.VerbDeleteLoadBalancer, hnslb.NotFound)
	f.wantClass(f.driver.DeleteEndpoint(f.Context(), ep.ID), hnslb.VerbDeleteEndpoint, hnslb.NotFound)
}

// testOwnValues: what the caller gave or got is the caller's to change.
func testOwnValues(f *fixture) {
	ids := f.remotes(2)
	given, want := balancer(vip(1), ids...), balancer(vip(1), ids...)
	made := f.create(given)
	want.ID = made.ID
	spoil := func(lb hnslb.LoadBalancer) {
		lb.Endpoints[0], lb.VIPs[0], lb.Mappings[0].ExternalPort = unknownID, vip(99), 99
	}
	spoil(given)
	spoil(made)
	got, _ := f.balancer(want.ID)
	spoil(got)
	f.wantHeld(want)
	ep, _ := f.endpoint(ids[0])
	had := ep.IPs[0]
	ep.IPs[0] = vip(99)
	if again, _ := f.endpoint(ids[0]); again.IPs[0] != had {
		f.Errorf("endpoint %s changed its address to %s", ids[0], again.IPs[0])
	}
}

// testCancelled: a call whose context has ended fails with Timeout and does nothing.
func testCancelled(f *fixture) {
	ep := f.remote(0)
	lb := f.create(balancer(vip(1), ep.ID))
	calls := f.calls(ep, lb)
	endpoints, balancers := len(f.endpoints()), len(f.balancers())
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	for _, c := range calls {
		f.wantClass(c.do(ctx), c.verb, hnslb.Timeout)
	}
	if n := len(f.endpoints()); n != endpoints {
		f.Errorf("%d endpoints, want %d", n, endpoints)
	}
	if n := len(f.balancers()); n != balancers {
		f.Errorf("%d load balancers, want %d", n, balancers)
	}
	f.wantHeld(lb)
}

// testHangingCall: a call that HNS does not answer ends when its context does.
func testHangingCall(f *fixture, h Hanger) {
	ep := f.remote(0)
	lb := f.create(balancer(vip(1), ep.ID))
	for _, c := range f.calls(ep, lb) {
		if c.verb == hnslb.VerbFeatures {
			continue // may be remembered: the version does not change under a process
		}
		h.Hang(c.verb)
		ctx, cancel := context.WithTimeout(f.Context(), 10*time.Millisecond)
		f.wantClass(c.do(ctx), c.verb, hnslb.Timeout)
		cancel()
		h.Unhang()
	}
}

// testServiceAway: while HNS is away nothing is absent; when it is back nothing has gone.
func testServiceAway(f *fixture, h Stopper) {
	ep := f.remote(0)
	lb := f.create(balancer(vip(1), ep.ID))
	calls := f.calls(ep, lb)
	h.StopHNS()
	for _, c := range calls {
		if c.verb == hnslb.VerbFeatures {
			continue // may be remembered: the version does not change under a process
		}
		f.wantClass(c.do(f.Context()), c.verb, hnslb.Unavailable)
	}
	h.StartHNS()
	f.wantHeld(lb)
	if _, ok := f.endpoint(ep.ID); !ok {
		f.Errorf("endpoint %s is gone after a restart", ep.ID)
	}
	_, err := f.driver.CreateLoadBalancer(f.Context(), balancer(vip(1), ep.ID))
	f.wantClass(err, hnslb.VerbCreateLoadBalancer, hnslb.AlreadyExists, hnslb.PortInUse)
}

// testConcurrent uses the driver from many goroutines; the race detector watches.
func testConcurrent(f *fixture) {
	const workers, each = 8, 5
	specs := make([][]hnslb.Endpoint, workers)
	for w := range workers {
		for i := range each {
			specs[w] = append(specs[w], f.remoteSpec(netip.AddrFrom4([4]byte{198, 51, byte(100 + w), byte(1 + i)})))
		}
	}
	var wg sync.WaitGroup
	errs := make(chan error, workers)
	for w := range workers {
		wg.Go(func() { errs <- f.work(byte(1+w), specs[w]) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		f.must(err)
	}
	frontends := map[hnslb.FrontendKey]int{}
	for _, lb := range f.balancers() {
		if k, ok := lb.Key(); ok {
			frontends[k]++
		}
	}
	for w := range workers {
		k := hnslb.FrontendKey{Family: hnslb.IPv4, VIP: vip(byte(1 + w)), Protocol: hnslb.TCP, Port: 80}
		if frontends[k] != 1 {
			f.Errorf("%s has %d load balancers, want 1", k, frontends[k])
		}
	}
}

// work makes endpoints, a load balancer of them, and makes it once more, reading between.
func (f *fixture) work(n byte, specs []hnslb.Endpoint) error {
	ctx := f.Context()
	var ids []hnslb.ID
	for _, spec := range specs {
		ep, err := f.driver.CreateEndpoint(ctx, spec)
		if err != nil {
			return err
		}
		ids = append(ids, ep.ID)
	}
	for range 2 {
		lb, err := f.driver.CreateLoadBalancer(ctx, balancer(vip(n), ids...))
		if err != nil {
			return err
		}
		if _, err := f.driver.LoadBalancers(ctx); err != nil {
			return err
		}
		if err := f.driver.DeleteLoadBalancer(ctx, lb.ID); err != nil {
			return err
		}
	}
	if _, err := f.driver.CreateLoadBalancer(ctx, balancer(vip(n), ids...)); err != nil {
		return fmt.Errorf("worker %d: %w", n, err)
	}
	return nil
}
