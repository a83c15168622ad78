// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"net/netip"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

func TestCreateAndList(t *testing.T) {
	e := emulator.New(emulator.Config{})
	n, err := e.AddNetwork(emulator.NetworkSpec{
		Name: "Calico", Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")},
	})
	if err != nil {
		t.Fatal(err)
	}
	ip := netip.MustParseAddr("10.244.2.7")
	ep, err := e.CreateEndpoint(t.Context(), hnslb.Endpoint{
		Network: n.ID, IPs: []netip.Addr{ip}, MAC: hnslb.RemoteMAC(ip), Remote: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := hnslb.LoadBalancer{
		Endpoints: []hnslb.ID{ep.ID},
		VIPs:      []netip.Addr{netip.MustParseAddr("10.96.0.10")},
		Mappings:  []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 8080, ExternalPort: 80}},
		Flags:     hnslb.DSR,
	}
	lb, err := e.CreateLoadBalancer(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	list, err := e.LoadBalancers(t.Context())
	if err != nil || len(list) != 1 || list[0].ID != lb.ID {
		t.Fatalf("LoadBalancers = %v, %v; want the one made, %v", list, err, lb.ID)
	}
	if _, err := e.CreateLoadBalancer(t.Context(), want); hnslb.ErrorClass(err) != hnslb.PortInUse {
		t.Errorf("second load balancer on the frontend: %v, want PortInUse", err)
	}
}
