// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package bulk

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

func ips(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// service is a Service on 10.96.0.1:80/TCP.
func service(backends ...string) *Service {
	object := &corev1.Service{Spec: corev1.ServiceSpec{
		ClusterIP: "10.96.0.1", IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
		Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
	}}
	var endpoints []Endpoint
	for _, ip := range ips(backends...) {
		endpoints = append(endpoints, Endpoint{IP: ip})
	}
	return &Service{Object: object, slice: sliceOf(object, endpoints)}
}

func TestTracker(t *testing.T) {
	s := service("10.1.0.1", "10.1.0.2")
	key := hnslb.FrontendKey{Family: hnslb.IPv4, VIP: netip.MustParseAddr("10.96.0.1"), Protocol: hnslb.TCP, Port: 80}
	tracker := NewTracker()
	hear := func(texts ...string) { tracker.Hear(emulator.Serving{Frontend: key, Backends: ips(texts...)}) }
	missing := func(what string, want int) {
		t.Helper()
		if got := tracker.Missing(); got != want {
			t.Errorf("%s: %d frontends missing, want %d", what, got, want)
		}
		if _, ok := tracker.Since(s); ok != (want == 0) {
			t.Errorf("%s: Since says %t", what, ok)
		}
	}
	tracker.Want(s)
	missing("nothing held", 1)
	hear("10.1.0.1")
	missing("one of two held", 1)
	hear("10.1.0.2", "10.1.0.1")
	missing("all held", 0)
	hear("10.1.0.2", "10.1.0.1", "10.1.0.3")
	missing("one too many held", 1)

	tracker.Expect(s, netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("10.1.0.4"))
	tracker.Expect(s, netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.5"))
	hear()
	hear("10.1.0.4", "10.1.0.1")
	missing("one of two changes arrived", 1)
	changes := tracker.Changes()
	if _, ok := changes[0].Latency(); !ok {
		t.Error("the first change was not seen")
	}
	if _, ok := changes[1].Latency(); ok {
		t.Error("the second change was seen before it came")
	}
	first := changes[0].Seen
	hear("10.1.0.4", "10.1.0.5")
	missing("both changes arrived", 0)
	if changes = tracker.Changes(); changes[0].Seen != first || changes[1].Seen.IsZero() {
		t.Errorf("changes are %+v, want the first as it was and the second seen", changes)
	}

	tracker.Forget(s)
	if tracker.Missing() != 0 {
		t.Error("a forgotten Service is missing")
	}
	tracker.Want(service("10.1.0.4", "10.1.0.5"))
	missing("wanted again and still held", 0)
	tracker.ResetChanges()
	if len(tracker.Changes()) != 0 {
		t.Error("ResetChanges keeps changes")
	}
}

func TestSurplus(t *testing.T) {
	tracker := NewTracker()
	tracker.Want(service("10.1.0.1"))
	endpoint := func(ip string, remote bool) emulator.EndpointState {
		return emulator.EndpointState{Endpoint: hnslb.Endpoint{IPs: ips(ip), Remote: remote}}
	}
	balancer := func(vip string) emulator.LoadBalancerState {
		return emulator.LoadBalancerState{LoadBalancer: hnslb.LoadBalancer{
			VIPs: ips(vip), Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, ExternalPort: 80}},
		}}
	}
	state := emulator.State{
		Endpoints: []emulator.EndpointState{
			endpoint("10.1.0.1", true), endpoint("10.96.0.1", true), endpoint("10.1.0.9", false),
			endpoint("10.1.0.8", true), endpoint("10.96.0.8", true),
		},
		LoadBalancers: []emulator.LoadBalancerState{balancer("10.96.0.1"), balancer("10.96.0.8"), {}},
	}
	if endpoints, balancers := tracker.Surplus(state); endpoints != 2 || balancers != 2 {
		t.Errorf("surplus of %d endpoints and %d load balancers, want 2 and 2", endpoints, balancers)
	}
}

func TestFrontends(t *testing.T) {
	s := service()
	s.Object.Spec.Ports = append(s.Object.Spec.Ports, corev1.ServicePort{Port: 53, Protocol: corev1.ProtocolUDP, NodePort: 30053})
	s.Object.Spec.ExternalIPs = []string{"198.51.100.1"}
	s.Object.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.1"}, {Hostname: "example.com"}}
	want := []string{
		"10.96.0.1:80/TCP", "198.51.100.1:80/TCP", "203.0.113.1:80/TCP",
		"10.96.0.1:53/UDP", "198.51.100.1:53/UDP", "203.0.113.1:53/UDP", "0.0.0.0:30053/UDP",
	}
	got := s.Frontends()
	if len(got) != len(want) {
		t.Fatalf("frontends %v, want %v", got, want)
	}
	for i, k := range got {
		if k.String() != want[i] {
			t.Errorf("frontend %d is %s, want %s", i, k, want[i])
		}
	}
}
