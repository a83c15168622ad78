// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package drivertest

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// fixture is one test with its host, and short ways to make and read objects.
type fixture struct {
	*testing.T
	host   Host
	driver hnslb.Driver
	// asked is the network as the driver said it once: a real driver looks through the
	// host's interfaces for it each time.
	asked *hnslb.Network
}

func (f *fixture) network() hnslb.Network {
	f.Helper()
	if f.asked == nil {
		n, err := f.driver.Network(f.Context(), f.host.NetworkName())
		f.must(err)
		f.asked = &n
	}
	return *f.asked
}

func (f *fixture) features() hnslb.Features {
	f.Helper()
	features, err := f.driver.Features(f.Context())
	f.must(err)
	return features
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// podIP is the n-th address of the network's subnet, past the reserved ones.
func (f *fixture) podIP(n int) netip.Addr {
	ip := f.network().Subnets[0].Masked().Addr()
	for range n + 10 {
		ip = ip.Next()
	}
	return ip
}

// remoteSpec is a remote endpoint as hnsproxy writes it.
func (f *fixture) remoteSpec(ip netip.Addr) hnslb.Endpoint {
	n := f.network()
	ep := hnslb.Endpoint{
		Network: n.ID, Name: "remote", IPs: []netip.Addr{ip}, MAC: hnslb.RemoteMAC(ip), Remote: true,
	}
	if n.IsOverlay() {
		ep.ProviderAddress = netip.MustParseAddr("203.0.113.7")
	}
	return ep
}

// remote makes the n-th remote endpoint.
func (f *fixture) remote(n int) hnslb.Endpoint {
	f.Helper()
	ip := netip.AddrFrom4([4]byte{198, 51, byte(100 + n/250), byte(1 + n%250)})
	ep, err := f.driver.CreateEndpoint(f.Context(), f.remoteSpec(ip))
	f.must(err)
	return ep
}

func (f *fixture) remotes(n int) []hnslb.ID {
	f.Helper()
	ids := make([]hnslb.ID, n)
	for i := range ids {
		ids[i] = f.remote(i).ID
	}
	return ids
}

func vip(n byte) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 0, n}) }

// balancer is the specification of a plain load balancer on a VIP and TCP port 80.
func balancer(vip netip.Addr, endpoints ...hnslb.ID) hnslb.LoadBalancer {
	return hnslb.LoadBalancer{
		Endpoints: slices.Clone(endpoints),
		VIPs:      []netip.Addr{vip},
		Mappings:  []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 8080, ExternalPort: 80}},
	}
}

func (f *fixture) create(lb hnslb.LoadBalancer) hnslb.LoadBalancer {
	f.Helper()
	made, err := f.driver.CreateLoadBalancer(f.Context(), lb)
	f.must(err)
	return made
}

func (f *fixture) endpoints() []hnslb.Endpoint {
	f.Helper()
	eps, err := f.driver.Endpoints(f.Context())
	f.must(err)
	return eps
}

func (f *fixture) balancers() []hnslb.LoadBalancer {
	f.Helper()
	lbs, err := f.driver.LoadBalancers(f.Context())
	f.must(err)
	return lbs
}

// endpoint returns the listed endpoint with that ID.
func (f *fixture) endpoint(id hnslb.ID) (hnslb.Endpoint, bool) {
	f.Helper()
	eps := f.endpoints()
	i := slices.IndexFunc(eps, func(ep hnslb.Endpoint) bool { return ep.ID == id })
	if i < 0 {
		return hnslb.Endpoint{}, false
	}
	return eps[i], true
}

// balancer returns the listed load balancer with that ID.
func (f *fixture) balancer(id hnslb.ID) (hnslb.LoadBalancer, bool) {
	f.Helper()
	lbs := f.balancers()
	i := slices.IndexFunc(lbs, func(lb hnslb.LoadBalancer) bool { return lb.ID == id })
	if i < 0 {
		return hnslb.LoadBalancer{}, false
	}
	return lbs[i], true
}

// wantHeld says that HNS holds exactly this load balancer under its ID.
func (f *fixture) wantHeld(want hnslb.LoadBalancer) {
	f.Helper()
	got, ok := f.balancer(want.ID)
	if !ok {
		f.Fatalf("HNS does not list load balancer %s", want.ID)
	}
	if diff := diffBalancers(want, got); diff != "" {
		f.Errorf("load balancer %s as HNS lists it (-want +got):\n%s", want.ID, diff)
	}
}

// diffBalancers compares load balancers; the order of the endpoints means nothing.
func diffBalancers(want, got hnslb.LoadBalancer) string {
	return gocmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}),
		cmpopts.SortSlices(func(a, b hnslb.ID) bool { return cmp.Less(a, b) }))
}

// diffEndpoints compares endpoints; MACs are compared ignoring case.
func diffEndpoints(want, got hnslb.Endpoint) string {
	want.MAC, got.MAC = strings.ToUpper(want.MAC), strings.ToUpper(got.MAC)
	return gocmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}))
}

// wantClass says that err is a complete driver error of one of the classes.
func (f *fixture) wantClass(err error, v hnslb.Verb, classes ...hnslb.Class) {
	f.Helper()
	var e *hnslb.Error
	if !errors.As(err, &e) {
		f.Errorf("%s: error is %v, want an *hnslb.Error of class %v", v, err, classes)
		return
	}
	if !slices.Contains(classes, e.Class) {
		f.Errorf("%s: class %q, want one of %v: %v", v, e.Class, classes, err)
	}
	if e.Verb != v || e.Object == "" || e.Err == nil {
		f.Errorf("%s: the error lacks verb, object or cause: %+v", v, e)
	}
}

// call is one verb with arguments that are right, or right but for an object that is gone.
type call struct {
	verb hnslb.Verb
	do   func(ctx context.Context) error
}

// calls returns one call per verb; ep and lb are objects that exist.
func (f *fixture) calls(ep hnslb.Endpoint, lb hnslb.LoadBalancer) []call {
	d := f.driver
	newEndpoint := f.remoteSpec(netip.MustParseAddr("198.51.100.251"))
	newBalancer := balancer(vip(251), ep.ID)
	return []call{
		{hnslb.VerbFeatures, func(ctx context.Context) error { _, err := d.Features(ctx); return err }},
		{hnslb.VerbNetwork, func(ctx context.Context) error {
			_, err := d.Network(ctx, f.host.NetworkName())
			return err
		}},
		{hnslb.VerbEndpoints, func(ctx context.Context) error { _, err := d.Endpoints(ctx); return err }},
		{hnslb.VerbLoadBalancers, func(ctx context.Context) error { _, err := d.LoadBalancers(ctx); return err }},
		{hnslb.VerbCreateEndpoint, func(ctx context.Context) error { _, err := d.CreateEndpoint(ctx, newEndpoint); return err }},
		{hnslb.VerbCreateLoadBalancer, func(ctx context.Context) error {
			_, err := d.CreateLoadBalancer(ctx, newBalancer)
			return err
		}},
		{hnslb.VerbUpdateLoadBalancer, func(ctx context.Context) error { _, err := d.UpdateLoadBalancer(ctx, lb); return err }},
		{hnslb.VerbDeleteLoadBalancer, func(ctx context.Context) error { return d.DeleteLoadBalancer(ctx, lb.ID) }},
		{hnslb.VerbDeleteEndpoint, func(ctx context.Context) error { return d.DeleteEndpoint(ctx, ep.ID) }},
	}
}
