// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package observed

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
)

var (
	pod  = netip.MustParseAddr("10.244.2.1")
	vip  = netip.MustParseAddr("10.96.0.5")
	node = netip.MustParseAddr("10.0.0.4")
)

func remote(ip netip.Addr) hnslb.Endpoint {
	return hnslb.Endpoint{ID: "e", Network: "n", IPs: []netip.Addr{ip}, MAC: hnslb.RemoteMAC(ip), Remote: true}
}

func balancer(id string, flags hnslb.MappingFlags, endpoints ...hnslb.ID) hnslb.LoadBalancer {
	return hnslb.LoadBalancer{ID: hnslb.ID(id), VIPs: []netip.Addr{vip}, Endpoints: endpoints,
		Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 8080, ExternalPort: 80, Flags: flags}}}
}

func viewOf(eps []hnslb.Endpoint, lbs ...hnslb.LoadBalancer) *View {
	v := New(netip.Addr{})
	v.SetNetwork(hnslb.Network{ID: "n", Type: "L2Bridge"})
	v.Replace(eps, lbs)
	return v
}

func key() hnslb.FrontendKey {
	k, _ := balancer("", 0).Key()
	return k
}

// TestTwins: of two load balancers on one frontend one is surplus, a foreign one never;
// both count as users of their endpoints until they are gone.
func TestTwins(t *testing.T) {
	eps := []hnslb.Endpoint{remote(pod)}
	for _, tc := range []struct {
		name          string
		first, second hnslb.LoadBalancer
		holder        hnslb.ID
		surplus       []hnslb.ID
	}{
		{"both ours", balancer("a", 0, "e"), balancer("b", 0, "e"), "a", []hnslb.ID{"b"}},
		{"the second is foreign", balancer("a", 0, "e"), balancer("b", hnslb.ILB, "e"), "b", []hnslb.ID{"a"}},
		{"the first is foreign", balancer("a", hnslb.ILB, "e"), balancer("b", 0, "e"), "a", []hnslb.ID{"b"}},
		{"both are foreign", balancer("a", hnslb.ILB, "e"), balancer("b", hnslb.ILB, "e"), "a", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := viewOf(eps, tc.first, tc.second)
			var surplus []hnslb.ID
			for _, lb := range v.Surplus(key()) {
				surplus = append(surplus, lb.ID)
			}
			if diff := cmp.Diff(tc.surplus, surplus); diff != "" || v.LoadBalancer(key()).ID != tc.holder {
				t.Errorf("holder %s, want %s; surplus (-want +got):\n%s", v.LoadBalancer(key()).ID, tc.holder, diff)
			}
			v.RemoveLoadBalancer("a", key())
			if !v.Endpoint(pod).InUse() {
				t.Error("the endpoint counts as unused while b names it")
			}
			v.RemoveLoadBalancer("b", key())
			if inUse := v.Endpoint(pod).InUse(); inUse != (len(tc.surplus) == 0 && tc.holder == "a") {
				t.Errorf("endpoint in use: %v", inUse)
			}
		})
	}
}

// TestLearnedSettings: an HNS that shows a load balancer with other flags than it was asked
// for is understood after the first, so that the rest do not look like drift forever.
func TestLearnedSettings(t *testing.T) {
	v := viewOf([]hnslb.Endpoint{remote(pod)}, balancer("old", hnslb.VIPExternal|hnslb.LocalRoutedVIP, "e"))
	want := balancer("", hnslb.VIPExternal)
	backends := []*Endpoint{v.Endpoint(pod)}
	if m := v.Match(v.LoadBalancer(key()), want, backends); m != Different {
		t.Fatalf("before: %v, want different", m)
	}
	v.PutCreatedLoadBalancer(balancer("", hnslb.VIPExternal, "e"), balancer("new", hnslb.VIPExternal|hnslb.LocalRoutedVIP, "e"))
	if m := v.Match(v.LoadBalancer(key()), want, backends); m != Equal {
		t.Errorf("after: %v, want equal", m)
	}
	if m := v.Match(v.LoadBalancer(key()), balancer("", 0), backends); m != Different {
		t.Errorf("another wish: %v, want different", m)
	}
}

// TestOwnEndpoint: ours are remote endpoints of our network with the made-up MAC, and on
// an overlay unnamed ones with the host's.
func TestOwnEndpoint(t *testing.T) {
	change := func(f func(*hnslb.Endpoint)) hnslb.Endpoint {
		e := remote(pod)
		f(&e)
		return e
	}
	for _, tc := range []struct {
		name    string
		e       hnslb.Endpoint
		overlay bool
		want    bool
	}{
		{"remote with our MAC", remote(pod), false, true},
		{"in capitals", change(func(e *hnslb.Endpoint) { e.MAC = "02-11-0A-F4-02-01" }), false, true},
		{"MAC of another address", change(func(e *hnslb.Endpoint) { e.MAC = hnslb.RemoteMAC(node) }), false, false},
		{"local", change(func(e *hnslb.Endpoint) { e.Remote = false }), false, false},
		{"two addresses", change(func(e *hnslb.Endpoint) { e.IPs = []netip.Addr{pod, node} }), false, false},
		{"host MAC on L2Bridge", change(func(e *hnslb.Endpoint) { e.MAC = hostMAC }), false, false},
		{"host MAC on an overlay", change(func(e *hnslb.Endpoint) { e.MAC = hostMAC }), true, true},
		{"host MAC and a name", change(func(e *hnslb.Endpoint) { e.MAC, e.Name = hostMAC, "Calico_ep" }), true, false},
		{"unnamed, as HNS shows it", change(func(e *hnslb.Endpoint) { e.MAC, e.Name = hostMAC, "Ethernet" }), true, true},
		{"leftover at the source VIP", remote(vip), true, true},
		{"source VIP", hnslb.Endpoint{ID: "s", Network: "n", IPs: []netip.Addr{vip}, MAC: hostMAC}, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := hnslb.Network{ID: "n", Type: "L2Bridge", HostMAC: hostMAC}
			if tc.overlay {
				n.Type = hnslb.NetworkOverlay
			}
			v := New(vip)
			v.SetNetwork(n)
			v.Replace([]hnslb.Endpoint{tc.e}, nil)
			if got := len(v.OwnAt(tc.e.IPs[0])) == 1; got != tc.want {
				t.Errorf("ours: %v, want %v", got, tc.want)
			}
			if want := len(v.OwnAt(tc.e.IPs[0])); v.OwnEndpoints() != want {
				t.Errorf("%d endpoints of ours, want %d", v.OwnEndpoints(), want)
			}
		})
	}
}

// TestHealth: a degraded load balancer is not a different one. What is written again counts as
// healthy, and a list that was begun before says nothing of it.
func TestHealth(t *testing.T) {
	eps := []hnslb.Endpoint{remote(pod)}
	v := viewOf(eps, balancer("lb", 0, "e"))
	list := func(degraded bool) []hnslb.LoadBalancer {
		lb := balancer("lb", 0, "e")
		lb.Degraded = degraded
		return []hnslb.LoadBalancer{lb}
	}
	check := func(what string, d Drift, want bool, told ...hnslb.FrontendKey) {
		t.Helper()
		lb := v.LoadBalancer(key())
		if lb.Degraded != want || len(d.Frontends) > 0 || d.Incomplete {
			t.Errorf("%s: degraded %v, want %v; drift %+v", what, lb.Degraded, want, d)
		}
		if diff := cmp.Diff(told, d.Health, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s: told (-want +got):\n%s", what, diff)
		}
		if m := v.Match(lb, balancer("", 0, "e"), v.OwnAt(pod)); m != Equal {
			t.Errorf("%s: match %v", what, m)
		}
	}
	check("became degraded", v.Replace(eps, list(true)), true, key())
	check("still degraded", v.Replace(eps, list(true)), true)
	check("healthy again", v.Replace(eps, list(false)), false, key())
	v.Replace(eps, list(true))
	touched := NewTouched()
	touched.Frontends[key()] = true
	m := v.Merge(List{Endpoints: eps, LoadBalancers: list(true)}, touched)
	v.PutLoadBalancer(balancer("lb", 0, "e"))
	for m.Step(1) {
	}
	check("written during the list", m.Drift(), false)
	if d := viewOf(eps).Replace(eps, list(true)); len(d.Health) > 0 || len(d.Frontends) != 1 {
		t.Errorf("new and degraded: drift %+v", d)
	}
}

// TestDrift: a fresh list tells what was different from what the view held; what others
// own may come and go.
func TestDrift(t *testing.T) {
	foreign := hnslb.Endpoint{ID: "pod", Network: "n", IPs: []netip.Addr{node}}
	v := viewOf([]hnslb.Endpoint{remote(pod)}, balancer("lb", 0, "e"))
	if d := v.Replace([]hnslb.Endpoint{remote(pod), foreign}, []hnslb.LoadBalancer{balancer("lb", 0, "e")}); len(d.Endpoints)+len(d.Frontends) > 0 {
		t.Errorf("nothing of ours changed, drift is %+v", d)
	}
	want := Drift{Frontends: []hnslb.FrontendKey{key()}, Endpoints: []netip.Addr{pod}, Addresses: []netip.Addr{pod}}
	if diff := cmp.Diff(want, v.Replace([]hnslb.Endpoint{foreign}, []hnslb.LoadBalancer{balancer("lb", 0, "e")}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("an endpoint is gone, its load balancer dangles (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Drift{Frontends: want.Frontends}, v.Replace([]hnslb.Endpoint{foreign}, nil), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("a load balancer is gone (-want +got):\n%s", diff)
	}
}
