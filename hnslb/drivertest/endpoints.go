// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package drivertest

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// unknownID is a GUID that no host gives out.
const unknownID hnslb.ID = "00000000-0000-4000-8000-0000000000ff"

func testFeatures(f *fixture) {
	got := f.features()
	if got.Version == (hnslb.Version{}) {
		f.Error("the version is missing")
	}
	if want := hnslb.FeaturesOf(got.Version); got.DSR != want.DSR || got.SessionAffinity != want.SessionAffinity {
		f.Errorf("features %+v, want %+v by the version", got, want)
	}
	if again := f.features(); again != got {
		f.Errorf("features changed from %+v to %+v", got, again)
	}
}

func testNetwork(f *fixture) {
	n := f.network()
	switch {
	case n.Name != f.host.NetworkName():
		f.Errorf("name %q, want %q", n.Name, f.host.NetworkName())
	case n.ID == "" || n.ID != hnslb.NewID(string(n.ID)):
		f.Errorf("ID %q is empty or not folded", n.ID)
	case n.Type == "" || !n.ManagementIP.IsValid() || len(n.Subnets) == 0:
		f.Errorf("type, management IP or subnets are missing: %+v", n)
	case n.IsOverlay() && n.HostMAC == "":
		f.Errorf("an overlay network without a host MAC: %+v", n)
	}
}

func testNetworkNotFound(f *fixture) {
	n := f.network()
	_, err := f.driver.Network(f.Context(), "no such network")
	f.wantClass(err, hnslb.VerbNetwork, hnslb.NotFound)
	missing, ok := errors.AsType[*hnslb.NetworkNotFound](err)
	switch {
	case !ok:
		f.Fatalf("%v does not say which networks exist", err)
	case missing.Name != "no such network" || missing.Unknown != nil:
		f.Errorf("missing is %q, unknown %v", missing.Name, missing.Unknown)
	case !slices.ContainsFunc(missing.Existing, func(e hnslb.NetworkName) bool {
		return e.Name == n.Name && strings.EqualFold(e.Type, n.Type)
	}):
		f.Errorf("%v: the network %s (%s) exists", err, n.Name, n.Type)
	}
}

func testEmptyLists(f *fixture) {
	// Real hosts have endpoints of their own from the start, so only load balancers on
	// the suite's addresses must be missing.
	f.endpoints()
	for _, lb := range f.balancers() {
		if k, ok := lb.Key(); ok && k.VIP.IsValid() && netip.MustParsePrefix("198.18.0.0/24").Contains(k.VIP) {
			f.Errorf("a load balancer on %s before the test made one", k)
		}
	}
}

func testRemoteEndpoint(f *fixture) {
	want := f.remoteSpec(netip.MustParseAddr("198.51.100.1"))
	got, err := f.driver.CreateEndpoint(f.Context(), want)
	f.must(err)
	if got.ID == "" || got.ID != hnslb.ID(strings.ToLower(string(got.ID))) {
		f.Errorf("ID %q is empty or not folded", got.ID)
	}
	want.ID = got.ID
	if diff := diffEndpoints(want, got); diff != "" {
		f.Errorf("the endpoint that create returned (-want +got):\n%s", diff)
	}
	listed, ok := f.endpoint(got.ID)
	if !ok {
		f.Fatal("HNS does not list the endpoint")
	}
	if diff := diffEndpoints(want, listed); diff != "" {
		f.Errorf("the endpoint as HNS lists it (-want +got):\n%s", diff)
	}
	f.must(f.driver.DeleteEndpoint(f.Context(), got.ID))
	if _, ok := f.endpoint(got.ID); ok {
		f.Error("HNS lists the endpoint after it was deleted")
	}
	f.wantClass(f.driver.DeleteEndpoint(f.Context(), got.ID), hnslb.VerbDeleteEndpoint, hnslb.NotFound)
}

// testRemoteAnywhere: a pod on another node's host network has that node's address.
func testRemoteAnywhere(f *fixture) {
	for _, ip := range []string{"203.0.113.200", "10.255.255.1"} {
		if _, err := f.driver.CreateEndpoint(f.Context(), f.remoteSpec(netip.MustParseAddr(ip))); err != nil {
			f.Errorf("remote endpoint %s: %v", ip, err)
		}
	}
}

func testLocalEndpoint(f *fixture) {
	made, err := f.host.AddLocalEndpoint(f.podIP(0))
	f.must(err)
	got, ok := f.endpoint(hnslb.NewID(string(made.ID)))
	switch {
	case !ok:
		f.Error("HNS does not list the local endpoint")
	case got.Remote:
		f.Error("the local endpoint is listed as remote")
	case got.Network != f.network().ID:
		f.Errorf("the local endpoint is listed on network %s", got.Network)
	case len(got.IPs) == 0 || got.IPs[0] != f.podIP(0):
		f.Errorf("the local endpoint is listed with addresses %v, want %s", got.IPs, f.podIP(0))
	}
}

func testEndpointRefusals(f *fixture) {
	taken := f.remoteSpec(netip.MustParseAddr("198.51.100.1"))
	_, err := f.driver.CreateEndpoint(f.Context(), taken)
	f.must(err)
	noNetwork := f.remoteSpec(netip.MustParseAddr("198.51.100.2"))
	noNetwork.Network = unknownID
	outside := f.remoteSpec(netip.MustParseAddr("198.51.100.3"))
	outside.Remote, outside.ProviderAddress = false, netip.Addr{}
	reserved := outside
	reserved.IPs = []netip.Addr{f.network().Subnets[0].Masked().Addr()}
	for _, c := range []struct {
		name  string
		ep    hnslb.Endpoint
		class hnslb.Class
	}{
		{"remote address twice", taken, hnslb.AlreadyExists},
		{"unknown network", noNetwork, hnslb.NotFound},
		{"local address outside the subnets", outside, hnslb.Invalid},
		{"local address reserved", reserved, hnslb.Invalid},
	} {
		before := len(f.endpoints())
		_, err := f.driver.CreateEndpoint(f.Context(), c.ep)
		f.Log(c.name)
		f.wantClass(err, hnslb.VerbCreateEndpoint, c.class)
		if after := len(f.endpoints()); after != before {
			f.Errorf("%s: %d endpoints before, %d after", c.name, before, after)
		}
	}
}

func testEndpointNotFound(f *fixture) {
	f.wantClass(f.driver.DeleteEndpoint(f.Context(), unknownID), hnslb.VerbDeleteEndpoint, hnslb.NotFound)
}
