// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package preview_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/preview"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/internal/observed"
	"github.com/hnsproxy/hnsproxy/internal/plan"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"pgregory.net/rapid"
)

// tester is a test of the testing package or of rapid.
type tester interface {
	rapid.TB
	Context() context.Context
}

var node = services.Node{Name: "me", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.4")}}

// host is an emulated HNS on which plans are made and carried out.
type host struct {
	*emulator.Emulator
	sourceVIP netip.Addr
}

func newHost(t tester, kind string, p profiles.Profile) *host {
	t.Helper()
	h := &host{Emulator: emulator.New(emulator.Config{Profile: p}), sourceVIP: netip.MustParseAddr("10.244.1.250")}
	_, err := h.AddNetwork(emulator.NetworkSpec{
		Name: "net", Type: kind, ManagementIP: node.IPs[0], Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")},
		Remotes: []hnslb.RemoteSubnet{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: netip.MustParseAddr("10.0.0.5")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// input reads HNS for a plan.
func (h *host) input(t tester, in ...services.Input) preview.Input {
	t.Helper()
	f, err1 := h.Features(t.Context())
	n, err2 := h.Network(t.Context(), "net")
	eps, err3 := h.Endpoints(t.Context())
	lbs, err4 := h.LoadBalancers(t.Context())
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	env := desired.NewEnv(node, n, f, desired.Options{SourceVIP: h.sourceVIP, BridgeSource: desired.BridgeGiven})
	return preview.Input{Services: in, Env: env, Endpoints: eps, LoadBalancers: lbs}
}

// carryOut does the steps for real.
func (h *host) carryOut(t tester, in preview.Input, p preview.Preview) {
	t.Helper()
	view := observed.New(h.sourceVIP)
	view.SetNetwork(in.Env.Network())
	view.Replace(in.Endpoints, in.LoadBalancers)
	for _, s := range p.Steps {
		if err := h.do(t, view, s); err != nil {
			t.Fatalf("step %q fails: %v", s, err)
		}
	}
}

// do makes the call of one step.
func (h *host) do(t tester, view *observed.View, s plan.Step) error {
	switch s := s.(type) {
	case plan.CreateEndpoint:
		e, err := h.CreateEndpoint(t.Context(), s.Endpoint)
		view.PutCreatedEndpoint(s.Endpoint, e)
		return err
	case plan.DeleteEndpoint:
		view.RemoveEndpoint(s.ID)
		return h.DeleteEndpoint(t.Context(), s.ID)
	case plan.DeleteLoadBalancer:
		view.RemoveLoadBalancer(s.ID, s.Key)
		return h.DeleteLoadBalancer(t.Context(), s.ID)
	case plan.CreateLoadBalancer:
		return h.write(t, view, s.Target, h.CreateLoadBalancer)
	case plan.UpdateLoadBalancer:
		return h.write(t, view, s.Target, h.UpdateLoadBalancer)
	}
	return fmt.Errorf("unknown step %T", s)
}

// write writes a load balancer, with the endpoints that the steps before have made.
func (h *host) write(t tester, view *observed.View, s plan.Target, write func(context.Context, hnslb.LoadBalancer) (hnslb.LoadBalancer, error)) error {
	lb := s.LoadBalancer
	lb.Endpoints = nil
	for _, ip := range s.IPs {
		lb.Endpoints = append(lb.Endpoints, view.Endpoint(ip).ID)
	}
	held, err := write(t.Context(), lb)
	view.PutCreatedLoadBalancer(lb, held)
	return err
}

// service makes a Service of one port with endpoints; a star marks those of this node.
func service(name string, created int, vip string, nodePort uint16, endpoints ...string) services.Input {
	key := services.Name{Namespace: "shop", Name: name}
	slice := &services.Slice{Name: name + "-1", Service: key, Family: hnslb.IPv4,
		Ports: []services.SlicePort{{Protocol: hnslb.TCP, Port: 8080}}}
	for _, e := range endpoints {
		ip := netip.MustParseAddr(e)
		ep := services.Endpoint{IP: ip, Ready: true, Serving: true}
		if netip.MustParsePrefix("10.244.1.0/24").Contains(ip) {
			ep.Node = node.Name
		}
		slice.Endpoints = append(slice.Endpoints, ep)
	}
	return services.Input{Name: key, Slices: []*services.Slice{slice}, Service: &services.Service{
		Name: key, Created: time.Unix(int64(created), 0), ClusterIPs: []netip.Addr{netip.MustParseAddr(vip)},
		Families: []hnslb.Family{hnslb.IPv4}, Ports: []services.Port{{Protocol: hnslb.TCP, Port: 80, NodePort: nodePort}},
	}}
}

// actions are the frontends and what becomes of them, in short.
func actions(p preview.Preview) []string {
	var out []string
	for _, f := range p.Frontends {
		line := fmt.Sprint(f.Service.Name, " ", f.Key, " ", f.Action)
		if f.Note.Reason != "" {
			line += " " + string(f.Note.Reason)
		}
		out = append(out, line)
	}
	return out
}

func steps(p preview.Preview) []string {
	var out []string
	for _, s := range p.Steps {
		out = append(out, s.String())
	}
	return out
}

func TestActions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		profile profiles.Profile
		// before is what HNS was programmed for, after what it is to be.
		before, after []services.Input
		foreign       bool
		assumeLocal   bool
		actions       []string
		steps         []string
	}{
		{
			name: "create", profile: profiles.WS2022(),
			after:   []services.Input{service("a", 1, "10.96.0.1", 0, "10.244.2.1")},
			actions: []string{"a 10.96.0.1:80/TCP create"},
			steps:   []string{"create endpoint 10.244.2.1 remote mac 02-11-0a-f4-02-01", "create loadbalancer 10.96.0.1:80/TCP port 8080 to 10.244.2.1 source 10.244.1.250"},
		},
		{
			name: "keep", profile: profiles.WS2022(),
			before:  []services.Input{service("a", 1, "10.96.0.1", 0, "10.244.2.1")},
			after:   []services.Input{service("a", 1, "10.96.0.1", 0, "10.244.2.1")},
			actions: []string{"a 10.96.0.1:80/TCP keep"},
		},
		{
			name: "update in place", profile: profiles.WS2025(),
			before:  []services.Input{service("a", 1, "10.96.0.1", 0, "10.244.2.1")},
			after:   []services.Input{service("a", 1, "10.96.0.1", 0, "10.244.2.2")},
			actions: []string{"a 10.96.0.1:80/TCP update"},
			steps: []string{
				"create endpoint 10.244.2.2 remote mac 02-11-0a-f4-02-02",
				"update loadbalancer 10.96.0.1:80/TCP port 8080 to 10.244.2.2 source 10.244.1.250",
				"delete endpoint 10.244.2.1",
			},
		},
		{
			name: "replace", profile: profiles.WS2022(),
			before:  []services.Input{service("a", 1, "10.96.0.1", 0, "10.244.2.1", "10.244.2.2")},
			after:   []services.Input{service("a", 1, "10.96.0.1", 0, "10.244.2.2")},
			actions: []string{"a 10.96.0.1:80/TCP replace"},
			steps: []string{
				"delete loadbalancer 10.96.0.1:80/TCP",
				"create loadbalancer 10.96.0.1:80/TCP port 8080 to 10.244.2.2 source 10.244.1.250",
				"delete endpoint 10.244.2.1",
			},
		},
		{
			name: "leftovers go", profile: profiles.WS2022(),
			before: []services.Input{service("a", 1, "10.96.0.1", 0, "10.244.2.1")},
			steps:  []string{"delete loadbalancer 10.96.0.1:80/TCP", "delete endpoint 10.244.2.1"},
		},
		{
			name: "wait for a local endpoint", profile: profiles.WS2022(),
			after:   []services.Input{service("a", 1, "10.96.0.1", 0, "10.244.1.9")},
			actions: []string{"a 10.96.0.1:80/TCP wait LocalEndpointMissing"},
		},
		{
			name: "go on without a local endpoint", profile: profiles.WS2022(),
			after:   []services.Input{service("a", 1, "10.96.0.1", 0, "10.244.1.9", "10.244.2.1")},
			actions: []string{"a 10.96.0.1:80/TCP create LocalEndpointAwaited"},
			steps:   []string{"create endpoint 10.244.2.1 remote mac 02-11-0a-f4-02-01", "create loadbalancer 10.96.0.1:80/TCP port 8080 to 10.244.2.1 source 10.244.1.250"},
		},
		{
			name: "assume a local endpoint", profile: profiles.WS2022(), assumeLocal: true,
			after:   []services.Input{service("a", 1, "10.96.0.1", 0, "10.244.1.9")},
			actions: []string{"a 10.96.0.1:80/TCP create"},
			steps:   []string{"create loadbalancer 10.96.0.1:80/TCP port 8080 to 10.244.1.9 source 10.244.1.250"},
		},
		{
			name: "the older Service wins", profile: profiles.WS2022(), assumeLocal: true,
			after: []services.Input{
				service("a", 2, "10.96.0.1", 30080, "10.244.1.9"), service("b", 1, "10.96.0.2", 30080, "10.244.1.8"),
			},
			actions: []string{
				"a 10.96.0.1:80/TCP create", "a 0.0.0.0:30080/TCP block FrontendConflict",
				"b 10.96.0.2:80/TCP create", "b 0.0.0.0:30080/TCP create",
			},
			steps: []string{
				"create loadbalancer 0.0.0.0:30080/TCP port 8080 to 10.244.1.8 flags local-routed,external source 10.244.1.250",
				"create loadbalancer 10.96.0.1:80/TCP port 8080 to 10.244.1.9 source 10.244.1.250",
				"create loadbalancer 10.96.0.2:80/TCP port 8080 to 10.244.1.8 source 10.244.1.250",
			},
		},
		{
			name: "a foreign load balancer blocks", profile: profiles.WS2022(), foreign: true,
			after:   []services.Input{service("a", 1, "10.96.0.1", 0, "10.244.2.1")},
			actions: []string{"a 10.96.0.1:80/TCP block HeldByForeignLoadBalancer"},
		},
		{
			name: "nobody to serve", profile: profiles.WS2022(),
			after:   []services.Input{service("a", 1, "10.96.0.1", 0)},
			actions: []string{"a 10.96.0.1:80/TCP block NoEndpoints"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, "L2Bridge", tt.profile)
			before := h.input(t, tt.before...)
			h.carryOut(t, before, preview.Make(before))
			if tt.foreign {
				_, err := h.AddForeignLoadBalancer(hnslb.LoadBalancer{
					VIPs: []netip.Addr{netip.MustParseAddr("10.96.0.1")}, Flags: 1 << 7,
					Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 1, ExternalPort: 80}},
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			in := h.input(t, tt.after...)
			in.AssumeLocal = tt.assumeLocal
			got := preview.Make(in)
			if diff := cmp.Diff(tt.actions, actions(got)); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.steps, steps(got)); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLikeTheProxy: whatever HNS held before, a preview has the writes that the proxy then
// makes, and HNS ends the same by either.
func TestLikeTheProxy(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"L2Bridge", "Overlay"} {
		for _, profile := range []profiles.Profile{profiles.WS2019(), profiles.WS2022(), profiles.WS2025()} {
			t.Run(kind+"/"+profile.Name, func(t *testing.T) {
				t.Parallel()
				rapid.Check(t, func(rt *rapid.T) {
					h := newHost(rt, kind, profile)
					for range rapid.IntRange(1, 3).Draw(rt, "times") {
						for _, pod := range rapid.SliceOfDistinct(rapid.SampledFrom(pool[:2]), rapid.ID).Draw(rt, "pods") {
							_, _ = h.AddLocalEndpoint("net", netip.MustParseAddr(pod)) // there already, or refused: both happen
						}
						likeTheProxy(t, rt, h, profile, rapid.Custom(aCluster).Draw(rt, "cluster"))
					}
				})
			})
		}
	}
}

// outside is the address in pool that is not a pod's.
const outside = "192.0.2.9"

var pool = []string{"10.244.1.1", "10.244.1.2", "10.244.2.1", "10.244.2.2", "10.244.2.3", outside}

// aCluster draws Services with one EndpointSlice each.
func aCluster(t *rapid.T) cluster {
	var out cluster
	for i := range rapid.IntRange(0, 4).Draw(t, "services") {
		name := string(rune('a' + i))
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, CreationTimestamp: metav1.Unix(rapid.Int64Range(1, 3).Draw(t, "created"), 0),
		}, Spec: corev1.ServiceSpec{
			ClusterIP: fmt.Sprintf("10.96.0.%d", rapid.IntRange(1, 3).Draw(t, "vip")),
			Ports:     []corev1.ServicePort{{Port: 80, NodePort: rapid.SampledFrom([]int32{0, 30080, 30081}).Draw(t, "nodePort")}},
		}}
		if rapid.Bool().Draw(t, "local") {
			svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		}
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: "shop", Name: name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: new(""), Port: new(int32(8080))}},
		}
		for _, ip := range rapid.SliceOfDistinct(rapid.SampledFrom(pool), rapid.ID).Draw(t, "endpoints") {
			// A node's name says where a pod is, not its address: those wander.
			on := rapid.SampledFrom([]string{node.Name, "other"}).Draw(t, "node")
			e := discoveryv1.Endpoint{Addresses: []string{ip}, NodeName: &on}
			if ip == outside && on != node.Name {
				e.NodeName = nil // the proxy would wait for the route to another node's pod
			}
			slice.Endpoints = append(slice.Endpoints, e)
		}
		out.services, out.slices = append(out.services, svc), append(out.slices, slice)
	}
	return out
}

type cluster struct {
	services []*corev1.Service
	slices   []*discoveryv1.EndpointSlice
}

func (c cluster) fill(t tester, s *services.Store) {
	t.Helper()
	for i := range c.services {
		_, err1 := s.SetService(c.services[i])
		_, err2 := s.SetSlice(nil, c.slices[i])
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
	}
}

// likeTheProxy compares the preview for h and c with what a proxy does to h.
func likeTheProxy(t *testing.T, rt *rapid.T, h *host, p profiles.Profile, c cluster) {
	t.Helper()
	twin := &host{Emulator: emulator.New(emulator.Config{Profile: p}), sourceVIP: h.sourceVIP}
	if err := twin.Restore(h.State()); err != nil {
		rt.Fatal(err)
	}
	store := services.NewStore(node.Name, time.Time{})
	c.fill(rt, store)
	in := twin.input(rt, store.Take()...)
	made := preview.Make(in)
	twin.carryOut(rt, in, made)

	h.ResetCounts()
	synctest.Test(t, func(t *testing.T) {
		proxy, err := proxier.New(proxier.Config{
			Driver: h, Network: "net", Node: node, Options: desired.Options{SourceVIP: h.sourceVIP, BridgeSource: desired.BridgeGiven},
			AuditPeriod: time.Hour, Metrics: metrics.New(prometheus.NewRegistry()), Clock: clock.RealClock{},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.fill(t, proxy.Store())
		stop := proxiertest.Start(proxy.Run)
		<-time.After(time.Second) // for a second list of local endpoints
		synctest.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	if diff := cmp.Diff(h.Dump(), twin.Dump()); diff != "" {
		rt.Fatalf("HNS differs (-proxy +preview):\n%s\nsteps:\n%s", diff, strings.Join(steps(made), "\n"))
	}
	writes := map[hnslb.Verb]int{}
	for _, s := range made.Steps {
		writes[s.Verb()]++
	}
	for v, n := range h.Counts() {
		if v.IsWrite() && writes[v] != n {
			rt.Fatalf("the proxy made %d calls of %s, the preview has %d steps:\n%s", n, v, writes[v], strings.Join(steps(made), "\n"))
		}
	}
}
