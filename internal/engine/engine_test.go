// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/observed"
	"github.com/hnsproxy/hnsproxy/internal/plan"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/apimachinery/pkg/types"
)

var errTest = errors.New("refused")

func refused(c hnslb.Class) error { return &hnslb.Error{Class: c, Err: errTest} }

func addr(ip string) netip.Addr { return netip.MustParseAddr(ip) }

// service is a Service in namespace default with port 80 to port 8080 of its backends, such
// as "10.244.2.1", or "10.244.1.1/a" for pod a of this node.
func service(name, vip string, backends ...string) services.Input {
	s := &services.Service{
		Name:       services.Name{Namespace: "default", Name: name},
		ClusterIPs: []netip.Addr{addr(vip)},
		Families:   []hnslb.Family{hnslb.IPv4},
		Ports:      []services.Port{{Protocol: hnslb.TCP, Port: 80}},
	}
	slice := &services.Slice{Name: name, Service: s.Name, Family: hnslb.IPv4,
		Ports: []services.SlicePort{{Protocol: hnslb.TCP, Port: 8080}}}
	for _, b := range backends {
		ip, pod, local := strings.Cut(b, "/")
		e := services.Endpoint{IP: addr(ip), Node: "other", Ready: true, Serving: true}
		if local {
			e.Node, e.Pod = "this", types.UID(pod)
		}
		slice.Endpoints = append(slice.Endpoints, e)
	}
	return services.Input{Name: s.Name, Service: s, Slices: []*services.Slice{slice}}
}

// dns is the Service of cluster DNS.
func dns(backends ...string) services.Input {
	in := service("kube-dns", "10.96.0.10", backends...)
	in.Service.Name = services.Name{Namespace: "kube-system", Name: "kube-dns"}
	in.Service.Ports[0].Port = 53
	in.Name, in.Slices[0].Service = in.Service.Name, in.Service.Name
	return in
}

// without is a Service that was deleted.
func without(in services.Input) services.Input { return services.Input{Name: in.Name} }

func remote(ip string) hnslb.Endpoint {
	return hnslb.Endpoint{ID: hnslb.ID("r" + ip), Network: "n", IPs: []netip.Addr{addr(ip)}, MAC: hnslb.RemoteMAC(addr(ip)), Remote: true}
}

func local(ip string) hnslb.Endpoint {
	return hnslb.Endpoint{ID: hnslb.ID("l" + ip), Network: "n", IPs: []netip.Addr{addr(ip)}, MAC: "00-15-5D-00-00-01"}
}

func balancer(id, vip string, endpoints ...hnslb.ID) hnslb.LoadBalancer {
	return hnslb.LoadBalancer{ID: hnslb.ID(id), VIPs: []netip.Addr{addr(vip)}, Endpoints: endpoints,
		Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 8080, ExternalPort: 80}}}
}

// bench drives an Engine with a clock that is set by hand and an HNS that is two lists.
type bench struct {
	*Engine
	t       *testing.T
	clock   time.Time
	version hnslb.Version
	network hnslb.Network
	eps     []hnslb.Endpoint
	lbs     []hnslb.LoadBalancer
	made    int
	// log are the calls begun, transitions all transitions, lists the requested lists.
	log         []string
	transitions []Transition
	lists       []ListRequest
}

// newBench makes an engine whose HNS can change load balancers in place.
func newBench(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	cfg := Config{Node: services.Node{Name: "this"}, AuditPeriod: 24 * time.Hour, CallTimeout: 10 * time.Second, Seed: 1, Start: time.Unix(1000, 0)}
	for _, c := range change {
		c(&cfg)
	}
	return &bench{Engine: New(cfg), t: t, clock: cfg.Start, version: hnslb.Version{Major: 15, Minor: 5},
		network: hnslb.Network{ID: "n", Type: "L2Bridge", ManagementIP: addr("10.0.0.4")}}
}

// atRest is a bench whose engine has made these Services so.
func atRest(t *testing.T, inputs ...services.Input) *bench {
	t.Helper()
	b := newBench(t)
	b.run(0)
	b.SetServices(inputs)
	b.run(10 * time.Second)
	b.clear()
	return b
}

// clear forgets what was logged.
func (b *bench) clear() { b.log, b.transitions, b.lists = nil, nil, nil }

// ready returns all that the engine wants done now.
func (b *bench) ready() Ready {
	b.t.Helper()
	var all Ready
	for range 1000 {
		r := b.Ready(b.clock)
		all.Calls = append(all.Calls, r.Calls...)
		all.Network = all.Network || r.Network
		all.Recompute = all.Recompute || r.Recompute
		all.Resubmit = append(all.Resubmit, r.Resubmit...)
		all.Wake = r.Wake
		if r.List != nil {
			if all.List != nil {
				b.t.Fatal("two lists at once")
			}
			all.List = r.List
			b.lists = append(b.lists, *r.List)
		}
		for _, c := range r.Calls {
			b.log = append(b.log, callText(c))
		}
		b.transitions = append(b.transitions, r.Transitions...)
		if !r.More {
			return all
		}
	}
	b.t.Fatal("there is always more")
	return all
}

// after lets time pass.
func (b *bench) after(d time.Duration) Ready {
	b.t.Helper()
	b.clock = b.clock.Add(d)
	return b.ready()
}

// run answers everything at once for a while.
func (b *bench) run(d time.Duration) {
	b.t.Helper()
	end := b.clock.Add(d)
	for range 100_000 {
		r := b.ready()
		b.answer(r)
		switch {
		case len(r.Calls) > 0 || r.Network || r.List != nil:
		case r.Wake.IsZero() || r.Wake.After(end):
			b.clock = end
			b.ready()
			return
		case r.Wake.After(b.clock):
			b.clock = r.Wake
		default:
			b.clock = b.clock.Add(time.Millisecond)
		}
	}
	b.t.Fatal("it does not come to rest")
}

// answer does all that was asked for.
func (b *bench) answer(r Ready) {
	if r.Network {
		b.NetworkRead(hnslb.FeaturesOf(b.version), b.network, nil)
	}
	if r.List != nil {
		b.list(r.List)
	}
	for _, c := range r.Calls {
		b.succeed(c)
	}
}

func (b *bench) list(look *ListRequest) {
	list := observed.List{Endpoints: slices.Clone(b.eps)}
	if !look.EndpointsOnly {
		list.LoadBalancers = slices.Clone(b.lbs)
	}
	b.Listed(look, list, nil)
}

// succeed does what a call asks for, and reports it.
func (b *bench) succeed(c Call) { b.Done(b.apply(c)) }

func (b *bench) fail(c Call, err error) { b.Done(Result{Call: c.ID, Err: err}) }

// apply does what a call asks for.
func (b *bench) apply(c Call) Result {
	r := Result{Call: c.ID}
	b.made++
	switch s := c.Step.(type) {
	case plan.CreateEndpoint:
		r.Endpoint = s.Endpoint
		r.Endpoint.ID = hnslb.ID(fmt.Sprintf("e%d", b.made))
		b.eps = append(b.eps, r.Endpoint)
	case plan.DeleteEndpoint:
		b.eps = slices.DeleteFunc(b.eps, func(e hnslb.Endpoint) bool { return e.ID == s.ID })
	case plan.CreateLoadBalancer:
		r.LoadBalancer = s.LoadBalancer
		r.LoadBalancer.ID = hnslb.ID(fmt.Sprintf("lb%d", b.made))
		b.lbs = append(b.lbs, r.LoadBalancer)
	case plan.UpdateLoadBalancer:
		r.LoadBalancer = s.LoadBalancer
		for i := range b.lbs {
			if b.lbs[i].ID == s.LoadBalancer.ID {
				b.lbs[i] = s.LoadBalancer
			}
		}
	case plan.DeleteLoadBalancer:
		b.lbs = slices.DeleteFunc(b.lbs, func(lb hnslb.LoadBalancer) bool { return lb.ID == s.ID })
	}
	return r
}

// callText names a call as the tests compare it.
func callText(c Call) string { return string(c.Step.Verb()) + " " + c.Step.Object() }

// target is what the load balancer becomes that a call writes.
func target(c Call) plan.Target {
	switch s := c.Step.(type) {
	case plan.CreateLoadBalancer:
		return s.Target
	case plan.UpdateLoadBalancer:
		return s.Target
	}
	return plan.Target{}
}

func callTexts(calls []Call) []string {
	var out []string
	for _, c := range calls {
		out = append(out, callText(c))
	}
	return out
}

// wantCalls compares calls with what they should be, in any order.
func wantCalls(t *testing.T, calls []Call, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, callTexts(calls)); diff != "" {
		t.Fatalf("calls (-want +got):\n%s", diff)
	}
}

// one returns the only call there is.
func (b *bench) one(r Ready, want string) Call {
	b.t.Helper()
	wantCalls(b.t, r.Calls, want)
	return r.Calls[0]
}

// wantList checks which list is requested; nil for none.
func wantList(t *testing.T, r Ready, want *ListRequest) {
	t.Helper()
	if diff := cmp.Diff(want, r.List); diff != "" {
		t.Fatalf("list asked for (-want +got):\n%s", diff)
	}
}

// only returns the transitions of one type.
func only[T Transition](ts []Transition) []T {
	var out []T
	for _, t := range ts {
		if x, ok := t.(T); ok {
			out = append(out, x)
		}
	}
	return out
}

// status returns the last status of a Service's frontend.
func (b *bench) status(name string) FrontendStatus {
	b.t.Helper()
	all := only[FrontendStatus](b.transitions)
	for _, s := range slices.Backward(all) {
		if s.Frontend.Service.Name == name {
			return s
		}
	}
	b.t.Fatalf("no status of %s", name)
	return FrontendStatus{}
}

func TestNothingBeforeItIsKnown(t *testing.T) {
	b := newBench(t)
	if b.AcceptsServices() {
		t.Error("it accepts Services before the network is known")
	}
	r := b.ready()
	if !r.Network || r.List != nil {
		t.Fatalf("first it asks for the network, and nothing else: %+v", r)
	}
	b.answer(r)
	if !b.AcceptsServices() {
		t.Error("the network is known")
	}
	if r = b.ready(); !r.Recompute {
		t.Fatal("it does not ask for the Services")
	}
	wantList(t, r, nil)
	b.SetServices([]services.Input{service("a", "10.96.0.1", "10.244.2.1")})
	if since, why := b.Lag(); since != b.clock || why == "" {
		t.Errorf("behind since %s for %q", since, why)
	}
	r = b.ready()
	wantList(t, r, &ListRequest{})
	wantCalls(t, r.Calls)
	b.answer(r)
	b.one(b.ready(), "CreateEndpoint 10.244.2.1")
}

func TestNodeChange(t *testing.T) {
	in := service("a", "10.96.0.1", "10.244.2.1")
	b := atRest(t, in)
	b.SetNode(services.Node{Name: "this", Zone: "z"})
	r := b.ready()
	if !r.Recompute {
		t.Fatal("a new zone does not ask for the Services")
	}
	b.ServiceChanged()
	in.Slices[0].Endpoints[0].IP = addr("10.244.2.2")
	r = b.ready()
	if wantList(t, r, nil); len(r.Calls) > 0 {
		t.Fatalf("calls rest on Services of another zone: %v", callTexts(r.Calls))
	}
	b.SetServices([]services.Input{in})
	wantCalls(t, b.ready().Calls, "CreateEndpoint 10.244.2.2")
}

func TestRest(t *testing.T) {
	b := atRest(t, service("a", "10.96.0.1", "10.244.2.1"))
	if since, why := b.Lag(); !b.Converged() || !b.Idle() || b.Pending() != 0 || !since.IsZero() || b.OwnEndpoints() != 1 {
		t.Errorf("at rest %v, idle %v, %d pending, behind since %s: %s", b.Converged(), b.Idle(), b.Pending(), since, why)
	}
	b.run(time.Hour)
	if len(b.log)+len(b.lists) > 0 {
		t.Errorf("at rest it does %v and lists %v", b.log, b.lists)
	}
	b.SetServices([]services.Input{service("b", "10.96.0.2", "10.244.2.1")})
	if since, _ := b.Lag(); b.Converged() || b.Idle() || since != b.clock {
		t.Errorf("a new Service: at rest %v, idle %v, behind since %s", b.Converged(), b.Idle(), since)
	}
	if got := b.Families(); !slices.Equal(got, []hnslb.Family{hnslb.IPv4}) {
		t.Errorf("families %v", got)
	}
}
