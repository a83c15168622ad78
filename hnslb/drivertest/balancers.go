// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package drivertest

import (
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// shapes are the load balancers that hnsproxy writes, one per kind of frontend and setting.
func shapes(features hnslb.Features, sourceVIP netip.Addr, endpoints []hnslb.ID) map[string]hnslb.LoadBalancer {
	mapping := func(flags hnslb.MappingFlags, d hnslb.Distribution) []hnslb.PortMapping {
		return []hnslb.PortMapping{{
			Protocol: hnslb.UDP, InternalPort: 5353, ExternalPort: 53, Distribution: d, Flags: flags,
		}}
	}
	vips := func(n byte) []netip.Addr { return []netip.Addr{vip(n)} }
	all := map[string]hnslb.LoadBalancer{
		"cluster IP":             {VIPs: vips(1), Mappings: mapping(0, 0)},
		"cluster IP, DSR":        {VIPs: vips(2), Mappings: mapping(0, 0), Flags: hnslb.DSR},
		"cluster IP, source VIP": {VIPs: vips(3), Mappings: mapping(0, 0), SourceVIP: sourceVIP},
		"external IP":            {VIPs: vips(4), Mappings: mapping(hnslb.VIPExternal, 0)},
		"ingress IP, preserve destination": {
			VIPs: vips(5), Flags: hnslb.DSR,
			Mappings: mapping(hnslb.VIPExternal|hnslb.UseMux|hnslb.PreserveDIP, 0),
		},
		"node port": {Mappings: mapping(hnslb.LocalRoutedVIP|hnslb.VIPExternal, 0)},
	}
	if features.SessionAffinity {
		all["session affinity"] = hnslb.LoadBalancer{VIPs: vips(6), Mappings: mapping(0, hnslb.SourceIP)}
	}
	for name, lb := range all {
		lb.Endpoints = slices.Clone(endpoints)
		all[name] = lb
	}
	return all
}

func testBalancerValues(f *fixture) {
	local, err := f.host.AddLocalEndpoint(f.podIP(0))
	f.must(err)
	ids := append(f.remotes(3), local.ID)
	var made []hnslb.LoadBalancer
	for name, want := range shapes(f.features(), f.podIP(1), ids) {
		got, err := f.driver.CreateLoadBalancer(f.Context(), want)
		if err != nil {
			f.Errorf("%s: %v", name, err)
			continue
		}
		if got.ID == "" || got.ID != hnslb.NewID(string(got.ID)) {
			f.Errorf("%s: ID %q is empty or not folded", name, got.ID)
		}
		want.ID = got.ID
		if diff := diffBalancers(want, got); diff != "" {
			f.Errorf("%s as create returned it (-want +got):\n%s", name, diff)
		}
		made = append(made, want)
	}
	for _, want := range made {
		f.wantHeld(want)
	}
	for _, lb := range made {
		f.must(f.driver.DeleteLoadBalancer(f.Context(), lb.ID))
		if _, ok := f.balancer(lb.ID); ok {
			f.Errorf("HNS lists %s after it was deleted", lb.ObjectName())
		}
	}
}

// dualStack tells whether this host balances both families; the tests of it still run on
// the others, without their IPv6 half.
func (f *fixture) dualStack() bool { return f.features().IPv6 && !f.network().IsOverlay() }

func testDualStack(f *fixture) {
	ips := []netip.Addr{f.podIP(0)}
	if f.dualStack() && len(f.network().Subnets) > 1 {
		six := f.network().Subnets[1].Masked().Addr()
		ips = append(ips, six.Next().Next().Next())
	}
	local, err := f.host.AddLocalEndpoint(ips...)
	f.must(err)
	got, _ := f.endpoint(hnslb.NewID(string(local.ID)))
	if !slices.Equal(got.IPs, ips) {
		f.Errorf("the endpoint is listed with %v, want %v", got.IPs, ips)
	}
	f.wantHeld(f.create(balancer(vip(1), local.ID)))
	if !f.dualStack() {
		return
	}
	six := balancer(netip.MustParseAddr("2001:db8::1"), local.ID)
	six.Flags = hnslb.IPv6Enabled
	made := f.create(six)
	six.ID = made.ID
	f.wantHeld(six)
	if k, ok := made.Key(); !ok || k.Family != hnslb.IPv6 {
		f.Errorf("the frontend is %v, want an IPv6 one", k)
	}
}

// testNodePortFamilies: HNS tells the node ports of two families apart by the flag alone.
func testNodePortFamilies(f *fixture) {
	id := f.remote(0).ID
	four := balancer(vip(1), id)
	four.VIPs = nil
	f.wantHeld(f.create(four))
	if f.dualStack() {
		six := four
		six.Flags = hnslb.IPv6Enabled
		f.wantHeld(f.create(six))
		_, err := f.driver.CreateLoadBalancer(f.Context(), six)
		f.wantClass(err, hnslb.VerbCreateLoadBalancer, hnslb.PortInUse, hnslb.AlreadyExists)
	}
	_, err := f.driver.CreateLoadBalancer(f.Context(), four)
	f.wantClass(err, hnslb.VerbCreateLoadBalancer, hnslb.PortInUse, hnslb.AlreadyExists)
}

func testFrontendTaken(f *fixture) {
	ids := f.remotes(2)
	first := f.create(balancer(vip(1), ids[0]))
	twin := balancer(vip(1), ids[1])
	twin.Flags, twin.Mappings[0].InternalPort = hnslb.DSR, 9090
	_, err := f.driver.CreateLoadBalancer(f.Context(), twin)
	f.wantClass(err, hnslb.VerbCreateLoadBalancer, hnslb.PortInUse, hnslb.AlreadyExists)
	f.wantHeld(first)
}

// testFrontendsDiffer: VIP, port and protocol make a frontend; each alone is enough.
func testFrontendsDiffer(f *fixture) {
	id := f.remote(0).ID
	udp, port := balancer(vip(1), id), balancer(vip(1), id)
	udp.Mappings[0].Protocol = hnslb.UDP
	port.Mappings[0].ExternalPort = 81
	for _, lb := range []hnslb.LoadBalancer{balancer(vip(1), id), udp, port, balancer(vip(2), id)} {
		f.wantHeld(f.create(lb))
	}
}

func testFrontendFreed(f *fixture) {
	id := f.remote(0).ID
	first := f.create(balancer(vip(1), id))
	f.must(f.driver.DeleteLoadBalancer(f.Context(), first.ID))
	again := f.create(balancer(vip(1), id))
	if again.ID == first.ID {
		f.Errorf("the new load balancer has the old one's ID %s", first.ID)
	}
}

// testEndpointLists: the code for an unknown endpoint was never sighted, so both classes
// of its candidates are right.
func testEndpointLists(f *fixture) {
	limit := f.host.MaxEndpoints()
	ids := f.remotes(limit + 1)
	for _, c := range []struct {
		name      string
		endpoints []hnslb.ID
		classes   []hnslb.Class
	}{
		{"empty", nil, []hnslb.Class{hnslb.Invalid}},
		{"too long", ids, []hnslb.Class{hnslb.Invalid}},
		{"unknown", []hnslb.ID{ids[0], unknownID}, []hnslb.Class{hnslb.NotFound, hnslb.Invalid}},
	} {
		_, err := f.driver.CreateLoadBalancer(f.Context(), balancer(vip(1), c.endpoints...))
		f.Log(c.name)
		f.wantClass(err, hnslb.VerbCreateLoadBalancer, c.classes...)
	}
	f.wantHeld(f.create(balancer(vip(1), ids[:limit]...)))
}

func testBalancerNotFound(f *fixture) {
	f.wantClass(f.driver.DeleteLoadBalancer(f.Context(), unknownID), hnslb.VerbDeleteLoadBalancer, hnslb.NotFound)
	lb := f.create(balancer(vip(1), f.remote(0).ID))
	f.must(f.driver.DeleteLoadBalancer(f.Context(), lb.ID))
	f.wantClass(f.driver.DeleteLoadBalancer(f.Context(), lb.ID), hnslb.VerbDeleteLoadBalancer, hnslb.NotFound)
}

// testCreateWithID: a create with an ID is a caller's mistake, and nothing is made.
func testCreateWithID(f *fixture) {
	ep := f.remoteSpec(netip.MustParseAddr("198.51.100.9"))
	ep.ID = unknownID
	_, err := f.driver.CreateEndpoint(f.Context(), ep)
	f.wantClass(err, hnslb.VerbCreateEndpoint, hnslb.Invalid)
	lb := balancer(vip(1), f.remote(0).ID)
	lb.ID = unknownID
	_, err = f.driver.CreateLoadBalancer(f.Context(), lb)
	f.wantClass(err, hnslb.VerbCreateLoadBalancer, hnslb.Invalid)
	if _, ok := f.balancer(unknownID); ok {
		f.Error("the load balancer was made all the same")
	}
}

// testUpdate: with Modify the load balancer is what was asked. Without, HNS says that it
// cannot, or says yes and changes nothing (15.4): what it returns is what it holds.
func testUpdate(f *fixture) {
	ids := f.remotes(4)
	had := f.create(balancer(vip(1), ids[:2]...))
	for _, change := range []func(lb *hnslb.LoadBalancer){
		func(lb *hnslb.LoadBalancer) { lb.Endpoints = ids[1:] },
		func(lb *hnslb.LoadBalancer) { lb.Endpoints = ids[3:] },
		func(lb *hnslb.LoadBalancer) { lb.SourceVIP = f.podIP(1) },
		func(lb *hnslb.LoadBalancer) { lb.Mappings[0].InternalPort = 9090 },
	} {
		want, _ := f.balancer(had.ID)
		change(&want)
		got, err := f.driver.UpdateLoadBalancer(f.Context(), want)
		switch {
		case err != nil && !f.features().Modify:
			f.wantClass(err, hnslb.VerbUpdateLoadBalancer, hnslb.Unsupported)
			f.wantHeld(had)
		case err != nil:
			f.Fatal(err)
		case f.features().Modify:
			f.wantHeld(want)
			f.wantHeld(got)
		default:
			f.wantHeld(had)
			f.wantHeld(got)
		}
	}
}

func testUpdateRefusals(f *fixture) {
	ids := f.remotes(1)
	had := f.create(balancer(vip(1), ids...))
	unknown := had
	unknown.ID = unknownID
	_, err := f.driver.UpdateLoadBalancer(f.Context(), unknown)
	if f.features().Modify {
		f.wantClass(err, hnslb.VerbUpdateLoadBalancer, hnslb.NotFound)
	} else {
		f.wantClass(err, hnslb.VerbUpdateLoadBalancer, hnslb.NotFound, hnslb.Unsupported)
		return
	}
	empty, dangling := had, had
	empty.Endpoints = nil
	_, err = f.driver.UpdateLoadBalancer(f.Context(), empty)
	f.wantClass(err, hnslb.VerbUpdateLoadBalancer, hnslb.Invalid)
	dangling.Endpoints = []hnslb.ID{unknownID}
	_, err = f.driver.UpdateLoadBalancer(f.Context(), dangling)
	f.wantClass(err, hnslb.VerbUpdateLoadBalancer, hnslb.Invalid, hnslb.NotFound)
	f.wantHeld(had)
}
