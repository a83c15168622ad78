// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"pgregory.net/rapid"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	proxied "github.com/hnsproxy/hnsproxy/proxier/services"
)

const networkName = "pods"

// world is one node in its cluster.
type world struct {
	t       *testing.T
	machine *machine
	hns     *emulator.Emulator
	proxy   *proxier.Proxier
	stop    func()
	// unannounced: something changed that nobody tells the proxy.
	unannounced bool

	services map[int]*corev1.Service
	slices   map[sliceKey]aSlice
	shown    map[sliceKey]*discoveryv1.EndpointSlice
	hints    hintMode
	zone     string
	local    map[host]bool
}

type sliceKey struct{ service, number int }

func newWorld(t *testing.T, m *machine) *world {
	t.Helper()
	w := &world{t: t, machine: m, hns: emulator.New(emulator.Config{Profile: m.profile}),
		services: map[int]*corev1.Service{}, slices: map[sliceKey]aSlice{},
		shown: map[sliceKey]*discoveryv1.EndpointSlice{}, local: map[host]bool{}}
	spec := emulator.NetworkSpec{
		Name: networkName, Type: "L2Bridge", ManagementIP: managementIPs()[0], ManagementIPv6: managementIPs()[1],
		HostMAC: "00-15-5D-00-00-04", Subnets: podSubnets()[:2], LoopbackDSR: m.LoopbackDSR,
	}
	if m.Overlay {
		spec.Type, spec.ManagementIPv6, spec.Subnets = hnslb.NetworkOverlay, netip.Addr{}, podSubnets()[:1]
		spec.Remotes = []hnslb.RemoteSubnet{
			{Prefix: podSubnets()[2], ProviderAddress: otherHost.addrs()[0]},
			{Prefix: podSubnets()[4], ProviderAddress: netip.MustParseAddr("10.0.0.6")},
			{Prefix: podSubnets()[6], ProviderAddress: netip.MustParseAddr("10.0.0.6")},
		}
	}
	if _, err := w.hns.AddNetwork(spec); err != nil {
		t.Fatal(err)
	}
	if m.HostEndpoint {
		w.plug(thisHost)
	}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// start starts a proxy that has seen all objects.
func (w *world) start() {
	addresses, err := desired.ParseNodePortAddresses(w.machine.NodePortRanges)
	w.must(err)
	options := desired.Options{DSR: w.machine.DSR, SkipSourceRanges: w.machine.SkipRanges, NodePortAddresses: addresses}
	if w.machine.SourceVIP {
		options.SourceVIP = sourceVIP()
	}
	w.proxy, err = proxier.New(proxier.Config{
		Driver: w.hns, Network: networkName, Options: options,
		Node:        proxied.Node{Name: nodeName},
		AuditPeriod: 24 * time.Hour, MinSyncPeriod: 50 * time.Millisecond,
		Metrics: metrics.New(prometheus.NewRegistry()), Logger: klog.Logger{}, Clock: clock.RealClock{},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.setNode()
	for _, s := range w.services {
		w.tellService(nil, s)
	}
	for _, s := range w.shown {
		w.tellSlice(nil, s)
	}
	stop := proxiertest.Start(w.proxy.Run)
	w.stop = func() {
		if err := stop(); err != nil {
			w.t.Error(err)
		}
	}
}

// change is one thing that happens, as data that rapid can shrink.
type change struct {
	Kind    string
	Service int
	Number  int
	As      aService
	Slice   aSlice
	Hints   hintMode
	Zone    string
	Pod     host
}

func someChange() *rapid.Generator[change] {
	kinds := []string{"service", "service", "service", "slice", "slice", "slice", "slice", "slice", "pod", "pod", "pod",
		"remove service", "remove slice", "remove pod", "hints", "zone", "restart"}
	return rapid.Custom(func(t *rapid.T) change {
		c := change{Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Service: rapid.IntRange(0, services-1).Draw(t, "service")}
		switch c.Kind {
		case "service":
			c.As = someService().Draw(t, "as")
		case "slice":
			c.Number = rapid.IntRange(0, 2).Draw(t, "number")
			c.Slice = someSlice().Draw(t, "slice")
		case "remove slice":
			c.Number = rapid.IntRange(0, 2).Draw(t, "number")
		case "pod", "remove pod":
			c.Pod = host(rapid.IntRange(1, int(podsHere)).Draw(t, "pod"))
		case "hints":
			c.Hints = hintMode(rapid.IntRange(0, int(hintModes)-1).Draw(t, "hints"))
		case "zone":
			c.Zone = rapid.SampledFrom([]string{"", "z1", "z2", "z3"}).Draw(t, "zone")
		}
		return c
	})
}

// opening is how a history begins: most pods, Services and slices are there.
func opening() *rapid.Generator[[]change] {
	return rapid.Custom(func(t *rapid.T) []change {
		var out []change
		mostly := func(what string) bool { return oftenOf(4, true, false).Draw(t, what) }
		pods := oftenOf(9, podsHere, 0).Draw(t, "pods")
		for h := host(1); h <= pods; h++ {
			if mostly("a pod") {
				out = append(out, change{Kind: "pod", Pod: h})
			}
		}
		out = append(out, change{Kind: "hints", Hints: hintMode(rapid.IntRange(0, int(hintModes)-1).Draw(t, "hints"))},
			change{Kind: "zone", Zone: rapid.SampledFrom([]string{"", "z1", "z2", "z3"}).Draw(t, "zone")})
		for i := range services {
			if mostly("a service") {
				out = append(out, change{Kind: "service", Service: i, As: someService().Draw(t, "as")})
			}
			for j := range 2 {
				if mostly("a slice") {
					out = append(out, change{Kind: "slice", Service: i, Number: j, Slice: someSlice().Draw(t, "slice")})
				}
			}
		}
		return out
	})
}

// someHistory is an opening and one to five steps of changes; the proxy settles after each.
func someHistory() *rapid.Generator[[][]change] {
	return rapid.Custom(func(t *rapid.T) [][]change {
		steps := [][]change{opening().Draw(t, "opening")}
		return append(steps, rapid.SliceOfN(rapid.SliceOfN(someChange(), 1, 5), 1, 5).Draw(t, "steps")...)
	})
}

func (w *world) do(c change) {
	key := sliceKey{c.Service, c.Number}
	switch c.Kind {
	case "service":
		old := w.services[c.Service]
		w.services[c.Service] = c.As.object(c.Service)
		w.tellService(old, w.services[c.Service])
	case "remove service":
		old := w.services[c.Service]
		delete(w.services, c.Service)
		w.tellService(old, nil)
	case "slice":
		w.slices[key] = c.Slice
		w.show(key)
	case "remove slice":
		delete(w.slices, key)
		w.show(key)
	case "hints":
		w.hints = c.Hints
		for key := range w.slices {
			w.show(key)
		}
	case "zone":
		w.zone = c.Zone
		w.setNode()
	case "restart":
		w.stop()
		w.start()
	case "pod":
		w.plug(c.Pod)
	case "remove pod":
		w.unplug(c.Pod)
	}
}

// plug is what the network plugin does for a new pod. That a pod came whose address was
// another node's is told by its slice only, which may be late.
func (w *world) plug(h host) {
	ips := h.addrs()
	if w.machine.Overlay {
		ips = ips[:1]
	}
	if w.local[h] {
		return
	}
	if _, err := w.hns.AddLocalEndpoint(networkName, ips...); err != nil {
		w.t.Fatal(err)
	}
	w.local[h] = true
	w.machine.setPods(w.local)
	w.unannounced = w.unannounced || h == wanderer && w.machine.Wanderer
}

func (w *world) unplug(h host) {
	if !w.local[h] {
		return
	}
	if err := w.hns.RemoveLocalEndpoint(h.addrs()[0]); err != nil {
		w.t.Fatal(err)
	}
	delete(w.local, h)
	w.machine.setPods(w.local)
	w.unannounced = true
}

func (m *machine) setPods(local map[host]bool) {
	m.pods = nil
	for h := range local {
		m.pods = append(m.pods, h.addrs()...)
	}
	slices.SortFunc(m.pods, netip.Addr.Compare)
}

// show hands a slice to the proxy as it is now.
func (w *world) show(key sliceKey) {
	old := w.shown[key]
	s, ok := w.slices[key]
	if !ok {
		delete(w.shown, key)
		w.tellSlice(old, nil)
		return
	}
	w.shown[key] = s.object(key.service, key.number, w.hints, w.machine.Wanderer)
	w.tellSlice(old, w.shown[key])
}

// tellService and tellSlice are what a watch with the program's selectors tells: an object
// that no longer matches is gone.
func (w *world) tellService(old, s *corev1.Service) {
	switch {
	case matches(proxied.ServiceSelector, s):
		_, err := w.proxy.Store().SetService(s)
		w.must(err)
	case matches(proxied.ServiceSelector, old):
		w.proxy.Store().DeleteService(proxied.Name{Namespace: old.Namespace, Name: old.Name})
	}
}

func (w *world) tellSlice(old, s *discoveryv1.EndpointSlice) {
	switch {
	case matches(proxied.SliceSelector, s):
		if !matches(proxied.SliceSelector, old) {
			old = nil
		}
		_, err := w.proxy.Store().SetSlice(old, s)
		w.must(err)
	case matches(proxied.SliceSelector, old):
		w.proxy.Store().DeleteSlice(old)
	}
}

func matches[T interface {
	comparable
	metav1.Object
}](selector string, o T) bool {
	var none T
	if o == none {
		return false
	}
	by, err := labels.Parse(selector)
	return err == nil && by.Matches(labels.Set(o.GetLabels()))
}

func (w *world) setNode() {
	n, err := proxied.ReadNode(nodeObject(w.zone))
	w.must(err)
	w.proxy.SetNode(n)
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// settle lets the proxy finish, also what it tries again after a while.
func (w *world) settle() {
	if w.unannounced {
		w.proxy.Audit()
		w.unannounced = false
	}
	<-time.After(10 * time.Second)
	synctest.Wait()
}

// cluster is what the API server says now.
func (w *world) cluster() cluster {
	c := cluster{node: nodeObject(w.zone), nodePortRanges: w.machine.NodePortRanges}
	for i := range services {
		if s := w.services[i]; s != nil {
			c.services = append(c.services, s)
		}
		for j := range 3 {
			if s := w.shown[sliceKey{i, j}]; s != nil {
				c.slices = append(c.slices, s)
			}
		}
	}
	return c
}
