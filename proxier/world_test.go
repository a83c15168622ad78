// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

// world is one node with its HNS, its proxy, and what the cluster says.
type world struct {
	// toldNode are the reasons of the Events on the Node; read them while the proxy waits.
	toldNode []string
	t        *testing.T
	network  string
	profile  profiles.Profile
	audit    time.Duration
	hns      *emulator.Emulator
	keeper   *proxiertest.LawKeeper
	breach   []string
	proxy    *proxier.Proxier
	stop     func()
	// ended stops it and returns what it ended with.
	ended func() error
	clock proxiertest.PausingClock
	// registry has the metrics of the proxy that runs.
	registry *prometheus.Registry
	// logger is that of the next proxy; the zero one is silent.
	logger klog.Logger

	// tweak changes what the proxy is started with; nil for nothing.
	tweak func(*proxier.Config)

	services map[int]*corev1.Service
	slices   map[string]*discoveryv1.EndpointSlice
	locals   map[int]bool
	router   netip.Addr
	away     bool
	// settled tells that the proxy has nothing left to do for what happened so far.
	settled bool
}

const sourceVIP = "10.244.1.250"

func newWorld(t *testing.T, network string, profile profiles.Profile, audit time.Duration, seed uint64) *world {
	t.Helper()
	w := &world{
		t: t, network: network, profile: profile, audit: audit,
		hns:      emulator.New(emulator.Config{Profile: profile, Seed: seed}),
		services: map[int]*corev1.Service{},
		slices:   map[string]*discoveryv1.EndpointSlice{},
		locals:   map[int]bool{},
		router:   netip.MustParseAddr("10.0.0.5"),
	}
	w.addNetwork()
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *world) addNetwork() {
	_, err := w.hns.AddNetwork(emulator.NetworkSpec{
		Name: "pods", Type: w.network, ManagementIP: netip.MustParseAddr("10.0.0.4"), HostMAC: "00-15-5D-00-00-04",
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")},
		Remotes: w.remotes(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.addRoot()
}

// addRoot makes the endpoint of the node itself.
func (w *world) addRoot() {
	_, err := w.hns.AddForeignEndpoint("pods", hnslb.Endpoint{Name: "cbr0", IPs: []netip.Addr{address(0)}})
	w.must(false, err)
}

// remotes says which host carries the other node's pods; it may change.
func (w *world) remotes() []hnslb.RemoteSubnet {
	return []hnslb.RemoteSubnet{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: w.router}}
}

func (w *world) start() {
	options := desired.Options{DSR: true, RootEndpoint: "cbr0"}
	if w.network == "Overlay" {
		options.SourceVIP = netip.MustParseAddr(sourceVIP)
	}
	w.keeper = proxiertest.NewLawKeeper(w.hns, proxiertest.Options{Network: "pods", SourceVIP: options.SourceVIP,
		Flags: w.profile.Quirks.EchoAddsFlags, MappingFlags: w.profile.Quirks.EchoAdds | w.profile.Quirks.EchoHides})
	w.registry = prometheus.NewRegistry()
	cfg := proxier.Config{
		Driver: w.keeper, Network: "pods", Options: options,
		Node:        services.Node{Name: "this", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.4")}},
		AuditPeriod: w.audit, MinSyncPeriod: 50 * time.Millisecond,
		Metrics: metrics.New(w.registry), Logger: w.logger, Clock: &w.clock,
		SendNodeEvent: func(reason, _ string) { w.toldNode = append(w.toldNode, reason) },
	}
	if w.tweak != nil {
		w.tweak(&cfg)
	}
	var err error
	w.proxy, err = proxier.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, svc := range w.services {
		w.must(w.proxy.Store().SetService(svc))
	}
	for _, s := range w.slices {
		w.must(w.proxy.Store().SetSlice(nil, s))
	}
	stop := proxiertest.Start(w.proxy.Run)
	w.ended = stop
	w.stop = func() {
		if err := stop(); err != nil {
			w.t.Error(err)
		}
		w.breach = append(w.breach, w.keeper.Broken()...)
	}
}

func (w *world) must(_ bool, err error) {
	if err != nil {
		w.t.Fatal(err)
	}
}

// do lets one action happen. Odd numbers let the proxy finish first, even ones do not.
func (w *world) do(a action) {
	w.tellKeeper()
	if !w.settled {
		// The proxy may write between the word and the change.
		defer w.keeper.Changed(false)
	}
	switch a.Kind {
	case "service", "slice", "delete-service", "delete-slice":
		w.change(a)
	case "local", "unlocal", "network", "routes", "behind":
		w.host(a)
	default:
		w.trouble(a)
	}
	w.settled = false
	if a.Number%2 == 1 {
		pass(100 * time.Millisecond) // longer than changes are gathered
		synctest.Wait()
		counts := w.proxy.Table().Counts()
		w.settled = w.proxy.Idle() && counts[proxier.Pending]+counts[proxier.Failing]+counts[proxier.Blocked] == 0
	}
}

// tellKeeper says that something is about to change, and whether the proxy was done with
// all that changed before.
func (w *world) tellKeeper() { w.keeper.Changed(w.settled) }

func (w *world) change(a action) {
	store := w.proxy.Store()
	switch a.Kind {
	case "service":
		svc := aService(a)
		w.services[a.Service] = svc
		w.must(store.SetService(svc))
	case "slice":
		s := aSlice(a)
		old := w.slices[s.Name]
		w.slices[s.Name] = s
		w.must(store.SetSlice(old, s))
	case "delete-service":
		delete(w.services, a.Service)
		store.DeleteService(services.Name{Namespace: "ns", Name: fmt.Sprint("s", a.Service)})
	case "delete-slice":
		s := aSlice(a)
		delete(w.slices, s.Name)
		store.DeleteSlice(s)
	}
}

func (w *world) host(a action) {
	ip := address(1 + a.Number%3)
	switch a.Kind {
	case "local":
		if w.locals[1+a.Number%3] || w.away {
			return
		}
		// WS2019 and WS2022 let it live beside a remote one; others may refuse it while
		// ours is in the way, and the plugin tries again.
		if _, err := w.hns.AddLocalEndpoint("pods", ip); err == nil {
			w.locals[1+a.Number%3] = true
		}
	case "unlocal":
		if w.locals[1+a.Number%3] && w.hns.RemoveLocalEndpoint(ip) == nil {
			delete(w.locals, 1+a.Number%3)
		}
	case "network":
		if _, err := w.hns.ReplaceNetwork("pods"); err == nil {
			clear(w.locals) // its endpoints went with it
			w.addRoot()
		}
	case "routes":
		was := w.router
		w.router = netip.AddrFrom4([4]byte{10, 0, 0, byte(5 + a.Number%2)})
		if err := w.hns.SetRemotes("pods", w.remotes()); err != nil {
			w.router = was // HNS is away
		}
	case "behind":
		lbs, err := w.hns.LoadBalancers(context.Background())
		if err == nil && len(lbs) > 0 {
			slices.SortFunc(lbs, func(a, b hnslb.LoadBalancer) int { return strings.Compare(string(a.ID), string(b.ID)) })
			_ = w.hns.DeleteBehind(lbs[a.Number%len(lbs)].ID)
		}
	}
}

func (w *world) trouble(a action) {
	switch a.Kind {
	case "fail":
		codes := []hnslb.HRESULT{hnslb.ResultSwitchPortNotFound, hnslb.ResultCallFailed, hnslb.ResultPortAlreadyExists,
			hnslb.ResultInvalidArgument, hnslb.ResultElementNotFound, hnslb.ResultManagerStopped}
		if (a.Verb == hnslb.VerbDeleteEndpoint || a.Verb == hnslb.VerbDeleteLoadBalancer) && a.Number%len(codes) == 4 {
			return // "not found" for what is there would be a lie that no report tells of
		}
		w.hns.FailNext(a.Verb, 1+a.Slice, codes[a.Number%len(codes)])
	case "lose-answer":
		w.hns.LoseAnswers(a.Verb, 1)
	case "flaky":
		w.hns.FailEach(0.3)
	case "steady":
		w.hns.FailEach(0)
	case "restart":
		w.stop()
		w.start()
	case "hns-restart":
		w.hns.Restart(emulator.RestartOptions{})
	case "hns-lose":
		w.hns.Restart(emulator.RestartOptions{LoseLoadBalancers: a.Flags&1 != 0})
	case "hns-away":
		w.hns.Stop()
		w.away = true
	case "hns-back":
		w.hns.Start(emulator.RestartOptions{})
		w.away = false
	case "advance":
		pass(time.Duration(a.Number) * 700 * time.Millisecond)
	case "audit":
		w.proxy.Audit()
	}
}

// calm ends all trouble and gives the proxy time for its longest waits.
func (w *world) calm() {
	w.hns.Start(emulator.RestartOptions{})
	w.hns.ClearFaults()
	w.hns.ReleaseLeakedPorts()
	w.tellKeeper()
	w.settlePods()
	pass(5 * time.Minute)
	synctest.Wait()
}

// settlePods lets the slices say where every pod really is.
func (w *world) settlePods() {
	for name, old := range w.slices {
		s := old.DeepCopy()
		for i, e := range s.Endpoints {
			for host := range w.locals {
				if e.Addresses[0] == address(host).String() {
					s.Endpoints[i].NodeName = new("this")
				}
			}
		}
		w.slices[name] = s
		w.must(w.proxy.Store().SetSlice(old, s))
	}
}

// fresh is the same node with a new HNS, on which nothing ever failed.
func (w *world) fresh() *world {
	o := &world{t: w.t, network: w.network, profile: w.profile, audit: w.audit, services: w.services, slices: w.slices, locals: w.locals, router: w.router,
		hns: emulator.New(emulator.Config{Profile: w.profile})}
	o.addNetwork()
	for n := range w.locals {
		if _, err := o.hns.AddLocalEndpoint("pods", address(n)); err != nil {
			w.t.Fatal(err)
		}
	}
	o.start()
	w.t.Cleanup(func() { o.stop() })
	pass(5 * time.Minute)
	synctest.Wait()
	return o
}

// broken returns the breaches of laws by every start of the proxy so far.
func (w *world) broken() []string { return slices.Concat(w.breach, w.keeper.Broken()) }

// dump prints what HNS holds, without IDs.
func (w *world) dump() string {
	ctx := context.Background()
	eps, err := w.hns.Endpoints(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	lbs, err := w.hns.LoadBalancers(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	names := map[hnslb.ID]string{}
	var lines []string
	for _, e := range eps {
		kind := "local"
		if e.Remote {
			kind = "remote"
		}
		names[e.ID] = fmt.Sprint(e.IPs[0], " ", kind)
		line := fmt.Sprintf("endpoint %s via %s", names[e.ID], e.ProviderAddress)
		if e.Remote {
			line += " mac " + strings.ToLower(e.MAC)
		}
		lines = append(lines, line)
	}
	for _, lb := range lbs {
		var backends []string
		for _, id := range lb.Endpoints {
			if names[id] == "" {
				names[id] = "dangling"
			}
			backends = append(backends, names[id])
		}
		slices.Sort(backends)
		lines = append(lines, fmt.Sprintf("loadbalancer %v %+v flags %d source %s to %v", lb.VIPs, lb.Mappings, lb.Flags, lb.SourceVIP, backends))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// pass lets virtual time go by.
func pass(d time.Duration) { <-time.After(d) }

func address(host int) netip.Addr {
	switch {
	case host < 10:
		return netip.MustParseAddr(fmt.Sprintf("10.244.1.%d", host+10))
	case host < 20:
		return netip.MustParseAddr(fmt.Sprintf("10.244.2.%d", host))
	}
	return netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", host))
}

// aService makes a Service from an action. External IPs and node ports come from small
// pools, so that Services get in each other's way.
func aService(a action) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprint("s", a.Service),
			CreationTimestamp: metav1.Unix(int64(1000+a.Number%3), 0), Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{
			Type:      corev1.ServiceTypeLoadBalancer,
			ClusterIP: fmt.Sprintf("10.96.0.%d", 10+a.Service),
			Ports:     []corev1.ServicePort{{Name: "web", Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}
	if a.Flags&1 != 0 {
		svc.Spec.Ports[0].NodePort = int32(30000 + a.Number%2)
	}
	if a.Flags&2 != 0 {
		svc.Spec.ExternalIPs = []string{fmt.Sprintf("203.0.113.%d", 1+a.Number%2)}
	}
	if a.Flags&4 != 0 {
		svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: fmt.Sprintf("203.0.113.%d", 1+a.Slice)}}
	}
	if a.Flags&8 != 0 {
		svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		svc.Spec.HealthCheckNodePort = int32(32000 + a.Number%2)
	}
	if a.Flags&16 != 0 {
		svc.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyLocal)
	}
	if a.Flags&32 != 0 {
		svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	}
	if a.Flags&64 != 0 {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP})
	}
	if a.Flags&128 != 0 {
		svc.Annotations["preserve-destination"] = "true"
	}
	return svc
}

func aSlice(a action) *discoveryv1.EndpointSlice {
	name := fmt.Sprint("s", a.Service)
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprint(name, "-", a.Slice), Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{
			{Name: new("web"), Port: new(int32(8080 + a.Number%2)), Protocol: new(corev1.ProtocolTCP)},
			{Name: new("dns"), Port: new(int32(5353)), Protocol: new(corev1.ProtocolUDP)},
		},
	}
	for _, b := range a.Backends {
		e := discoveryv1.Endpoint{Addresses: []string{address(b.Host).String()}, NodeName: new("other")}
		if b.Host < 10 && !b.Moved {
			e.NodeName = new("this")
		}
		e.Conditions = discoveryv1.EndpointConditions{Ready: new(b.State == 0), Serving: new(b.State < 2), Terminating: new(b.State > 0)}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}
