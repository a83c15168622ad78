// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/proxier"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// This file holds what an HNS may do that nobody has shown, or that one log shows: the
// proxy has to come out right either way.

// newNode is a node with one pod, whose proxy has not started.
func newNode(t *testing.T, network string, profile profiles.Profile) *world {
	t.Helper()
	w := &world{
		t: t, network: network, profile: profile, audit: 30 * time.Second,
		hns:      emulator.New(emulator.Config{Profile: profile, Seed: 1}),
		services: map[int]*corev1.Service{},
		slices:   map[string]*discoveryv1.EndpointSlice{},
		locals:   map[int]bool{1: true},
		router:   netip.MustParseAddr("10.0.0.5"),
	}
	w.addNetwork()
	_, err := w.hns.AddLocalEndpoint("pods", address(1))
	w.must(false, err)
	return w
}

// serves puts a Service into the cluster, with a cluster IP, a node port, an external IP and
// an ingress IP, to the pod of this node and to others.
func (w *world) serves(n int, change func(*corev1.Service), hosts ...int) {
	svc := aService(action{Service: n, Number: 1})
	svc.Spec.Ports[0].NodePort = int32(30000 + n)
	svc.Spec.ExternalIPs = []string{fmt.Sprintf("203.0.113.%d", n)}
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: fmt.Sprintf("198.51.100.%d", n)}}
	if change != nil {
		change(svc)
	}
	w.services[n] = svc
	w.leadsTo(n, 8080, hosts...)
}

// leadsTo sets the endpoints of a Service and their port.
func (w *world) leadsTo(n int, port int32, hosts ...int) {
	name := fmt.Sprint("s", n)
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("web"), Port: new(port), Protocol: new(corev1.ProtocolTCP)}, {Name: new("dns"), Port: new(int32(5353)), Protocol: new(corev1.ProtocolUDP)}},
	}
	for _, host := range hosts {
		node := "other"
		if host < 10 {
			node = "this"
		}
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{hostAddress(host).String()}, NodeName: new(node)})
	}
	old := w.slices[name]
	w.slices[name] = s
	if w.proxy != nil {
		w.keeper.Changed(true)
		w.must(w.proxy.Store().SetSlice(old, s))
	}
}

// hostAddress is address, with room for hundreds of pods on another node.
func hostAddress(host int) netip.Addr {
	if host >= 100 {
		return netip.AddrFrom4([4]byte{10, 244, 2, byte(host)})
	}
	return address(host)
}

// settle lets the proxy finish.
func (w *world) settle(d time.Duration) {
	pass(d)
	synctest.Wait()
}

// writes counts the write calls since the last count.
func (w *world) writes() map[hnslb.Verb]int {
	n := map[hnslb.Verb]int{}
	for verb, calls := range w.hns.Counts() {
		if verb.IsWrite() && calls > 0 {
			n[verb] = calls
		}
	}
	w.hns.ResetCounts()
	return n
}

// balancer returns the load balancer on a frontend as HNS has it, whatever it shows.
func (w *world) balancer(vip string, port uint16) hnslb.LoadBalancer {
	w.t.Helper()
	for _, lb := range w.hns.State().LoadBalancers {
		if len(lb.Mappings) == 1 && lb.Mappings[0].ExternalPort == port && (vip == "" && len(lb.VIPs) == 0 || vip != "" && slices.Contains(lb.VIPs, netip.MustParseAddr(vip))) {
			return lb.LoadBalancer
		}
	}
	w.t.Fatalf("nobody holds %s:%d:\n%s", vip, port, w.hns.Dump())
	return hnslb.LoadBalancer{}
}

func (w *world) lawful() {
	w.t.Helper()
	for _, b := range w.broken() {
		w.t.Error(b)
	}
}

func (w *world) wantState(s proxier.FrontendState) {
	w.t.Helper()
	for _, row := range w.proxy.Table().Rows() {
		if row.State != s {
			w.t.Errorf("%s is %s: %s %s, want %s", row.Frontend.Key, row.State, row.Reason, row.Message, s)
			return // the others are like it
		}
	}
}

// TestModifyIsReadBack: what a modify did not change is changed by delete and create, and
// nothing counts as in force that is not.
func TestModifyIsReadBack(t *testing.T) {
	for _, tc := range []struct {
		name   string
		quirks profiles.Quirks
		// outside: the change is of the source VIP, since a backend outside the cluster comes.
		outside bool
	}{
		{"nothing ignored, port", profiles.Quirks{}, false},
		{"port ignored", profiles.Quirks{ModifyIgnoresPort: true}, false},
		{"nothing ignored, source VIP", profiles.Quirks{}, true},
		{"source VIP ignored", profiles.Quirks{ModifyIgnoresSourceVIP: true}, true},
		{"flags ignored", profiles.Quirks{ModifyIgnoresFlags: true}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				profile := profiles.WS2025()
				profile.Quirks = tc.quirks
				w := newNode(t, "Overlay", profile)
				w.serves(1, nil, 1, 11)
				w.start()
				defer w.stop()
				w.settle(5 * time.Second)
				w.writes()
				port, source, hosts := int32(8081), netip.MustParseAddr(sourceVIP), []int{1, 11}
				if tc.outside {
					port, source, hosts = 8080, netip.MustParseAddr("10.0.0.4"), []int{1, 11, 21}
				}
				w.leadsTo(1, port, hosts...)
				w.settle(20 * time.Second) // longer than a route is awaited
				for _, f := range []struct {
					vip  string
					port uint16
				}{{"10.96.0.11", 80}, {"", 30001}, {"203.0.113.1", 80}, {"198.51.100.1", 80}} {
					lb := w.balancer(f.vip, f.port)
					if lb.Mappings[0].InternalPort != uint16(port) || lb.SourceVIP != source || len(lb.Endpoints) != len(hosts) {
						t.Errorf("%s:%d leads to port %d from %s, %d endpoints; want %d, %s, %d", f.vip, f.port,
							lb.Mappings[0].InternalPort, lb.SourceVIP, len(lb.Endpoints), port, source, len(hosts))
					}
				}
				w.wantState(proxier.Programmed)
				writes := w.writes()
				if n := writes[hnslb.VerbUpdateLoadBalancer]; n != 4 {
					t.Errorf("%d changes in place, want one for each frontend: one that fell short says nothing of the others' endpoints", n)
				}
				w.settle(5 * time.Minute)
				if again := w.writes(); len(again) > 0 {
					t.Errorf("writes at rest: %v", again)
				}
				// A change of endpoints is still made in place.
				w.leadsTo(1, port, append(hosts, 12)...)
				w.settle(5 * time.Second)
				if n := w.writes(); n[hnslb.VerbDeleteLoadBalancer] > 0 || n[hnslb.VerbUpdateLoadBalancer] != 4 {
					t.Errorf("a change of endpoints alone took %v", n)
				}
				w.lawful()
			})
		})
	}
}

// populate puts Services of all kinds into the cluster.
func (w *world) populate() {
	w.serves(1, nil, 1, 11)
	w.serves(2, func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }, 1, 12)
	w.serves(3, func(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP }, 11, 12)
	w.serves(4, func(s *corev1.Service) {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP})
	}, 11)
	w.serves(5, func(s *corev1.Service) {
		s.Spec.ExternalIPs, s.Spec.Ports[0].NodePort = nil, 0
		s.Status = corev1.ServiceStatus{}
	}, 13)
	w.serves(6, func(s *corev1.Service) { s.Annotations["preserve-destination"] = "true" }, 1)
}

// takeover is a node on which kube-proxy.exe has made its objects: the same as ours, but
// for a source VIP on L2Bridge, where it has none.
func takeover(t *testing.T, network string, profile profiles.Profile, quirks profiles.Quirks) *world {
	t.Helper()
	first := newNode(t, network, profile)
	first.populate()
	first.start()
	first.settle(10 * time.Second)
	first.stop()
	state := first.hns.State()
	for i := range state.LoadBalancers {
		if network == "L2Bridge" {
			state.LoadBalancers[i].SourceVIP = netip.Addr{}
		}
	}
	q := profile.Quirks
	q.EchoAdds, q.EchoAddsFlags, q.EchoHides = quirks.EchoAdds, quirks.EchoAddsFlags, quirks.EchoHides
	profile.Quirks = q
	w := newNode(t, network, profile)
	w.hns = emulator.New(emulator.Config{Profile: profile, Seed: 2})
	w.must(false, w.hns.Restore(state))
	w.populate()
	return w
}

// TestTakeoverWithEchoes: what kube-proxy.exe made is kept without a write, however HNS shows
// its flags, and so it is over a restart, and after a change.
func TestTakeoverWithEchoes(t *testing.T) {
	for _, profile := range []profiles.Profile{profiles.WS2019(), profiles.WS2022(), profiles.WS2025()} {
		for _, network := range []string{"L2Bridge", "Overlay"} {
			for name, quirks := range proxiertest.Echoes() {
				t.Run(profile.Name+"/"+network+"/"+name, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						w := takeover(t, network, profile, quirks)
						for start := range 3 {
							w.start()
							w.settle(90 * time.Second)
							if writes := w.writes(); len(writes) > 0 {
								t.Errorf("start %d: %v, want no write", start+1, writes)
							}
							w.wantState(proxier.Programmed)
							if key, dark, found := w.hns.WorstDark(); found && dark.Times > 0 {
								t.Errorf("start %d: %s was dark: %+v", start+1, key, dark)
							}
							if start == 1 {
								w.leadsTo(1, 8080, 1, 14)
								w.settle(90 * time.Second)
								if writes := w.writes(); writes[hnslb.VerbCreateLoadBalancer]+writes[hnslb.VerbUpdateLoadBalancer] != 4 {
									t.Errorf("an endpoint was replaced: %v, want each of four frontends written once", writes)
								}
								w.leadsTo(1, 8080, 1, 15)
								w.settle(90 * time.Second)
								if writes := w.writes(); profile.Name == "ws2025" && writes[hnslb.VerbUpdateLoadBalancer] != 4 {
									t.Errorf("another one was replaced: %v, want each of four frontends changed in place", writes)
								}
								w.hns.ResetDark()
							}
							w.stop()
						}
						w.lawful()
					})
				})
			}
		}
	}
}

// TestRefusalsShareLists: an HNS that runs out of ports refuses each load balancer. That must
// not make it list everything several times a second.
func TestRefusalsShareLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNode(t, "L2Bridge", profiles.WS2022())
		for n := range 60 {
			w.serves(n, nil, 1, 11)
		}
		w.start()
		defer w.stop()
		w.settle(time.Second)
		w.hns.FailNext(hnslb.VerbCreateLoadBalancer, 1_000_000, hnslb.ResultPortAlreadyExists)
		w.hns.ResetCounts()
		for n := range 60 { // as Services come and go
			w.serves(100+n, nil, 1, 11)
			w.keeper.Changed(false)
			w.must(w.proxy.Store().SetService(w.services[100+n]))
			w.settle(100 * time.Millisecond)
		}
		if n := w.hns.Counts()[hnslb.VerbLoadBalancers]; n < 1 || n > 3 {
			t.Errorf("%d lists in 6 s, want one in 5 s", n)
		}
		w.hns.ClearFaults()
		w.settle(10 * time.Minute)
		w.wantState(proxier.Programmed)
	})
}

// TestDeleteThatDeletesNothing: HNS answers 0x803b0001 to the deletion of a load balancer and
// keeps it. It is not forgotten, and the frontend says why it is not in force.
func TestDeleteThatDeletesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newNode(t, "L2Bridge", profiles.WS2019())
		w.serves(1, nil, 11)
		w.start()
		defer w.stop()
		w.settle(5 * time.Second)
		before := w.balancer("10.96.0.11", 80)
		w.hns.FailNext(hnslb.VerbDeleteLoadBalancer, 8, hnslb.ResultNetworkNotFound)
		w.hns.ResetCounts()
		w.leadsTo(1, 8080, 11, 12)
		w.settle(50 * time.Millisecond)
		if n := w.hns.Counts()[hnslb.VerbCreateLoadBalancer]; n > 0 {
			t.Errorf("%d load balancers created on frontends that others hold", n)
		}
		if lb := w.balancer("10.96.0.11", 80); lb.ID != before.ID {
			t.Errorf("load balancer %s, want %s still", lb.ID, before.ID)
		}
		w.wantState(proxier.Failing)
		w.settle(time.Minute)
		w.wantState(proxier.Programmed)
		w.lawful()
	})
}

// TestHalfMadeHolds: what a failed create leaves behind keeps its own frontend from the next
// try. It is removed soon, and not only at the second audit.
func TestHalfMadeHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		profile := profiles.WS2022()
		profile.Quirks.HalfMadeHolds = true
		w := newNode(t, "L2Bridge", profile)
		w.serves(1, nil, 11)
		w.hns.SetFaults(profiles.Faults{HalfMade: true})
		w.hns.FailNext(hnslb.VerbCreateLoadBalancer, 4, 0x80004005)
		w.start()
		defer w.stop()
		w.settle(time.Second)
		w.hns.SetFaults(profiles.Faults{})
		w.settle(15 * time.Second)
		w.wantState(proxier.Programmed)
		w.settle(90 * time.Second) // those that were in nobody's way
		if n := len(w.hns.State().LoadBalancers); n != 4 {
			t.Errorf("HNS holds %d load balancers, want 4:\n%s", n, w.hns.Dump())
		}
		w.lawful()
	})
}

// TestEndpointLimitIsLearnt: how many endpoints a load balancer of Server 2019 may name is
// not known. What HNS takes is used, and what it refuses is learnt from one refusal.
func TestEndpointLimitIsLearnt(t *testing.T) {
	for limit, refusals := range map[int]int{64: 4, 1024: 0} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				profile := profiles.WS2019()
				profile.MaxEndpoints = limit
				w := newNode(t, "L2Bridge", profile)
				var hosts []int
				for n := range 100 {
					hosts = append(hosts, 100+n)
				}
				w.serves(1, nil, hosts...)
				w.serves(2, nil, 11)
				w.start()
				defer w.stop()
				w.settle(10 * time.Second)
				if n := len(w.balancer("10.96.0.11", 80).Endpoints); n != min(limit, 100) {
					t.Errorf("%d endpoints, want %d", n, min(limit, 100))
				}
				if n := w.hns.Errors()[hnslb.VerbCreateLoadBalancer]; n > refusals {
					t.Errorf("%d refusals, want %d at most", n, refusals)
				}
				w.wantState(proxier.Programmed)
				w.lawful()
			})
		})
	}
}

// TestVanishedReference: a load balancer is refused since HNS does not know an endpoint of it
// any more. Another list shows which one, so that nothing waits for the audit.
func TestVanishedReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		profile := profiles.WS2019() // answers 0x803b001c
		w := newNode(t, "L2Bridge", profile)
		w.audit = time.Hour
		w.serves(1, nil, 11)
		w.start()
		defer w.stop()
		w.settle(time.Second)
		for _, e := range w.hns.State().Endpoints {
			if e.Remote {
				w.must(false, w.hns.DeleteBehind(e.ID))
			}
		}
		w.leadsTo(1, 8080, 11, 12)
		w.settle(10 * time.Second)
		w.wantState(proxier.Programmed)
		w.lawful()
	})
}
