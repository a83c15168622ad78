// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/scenario"
)

func small(k scenario.Kind) scenario.Scenario {
	s := scenario.Default()
	s.Cluster.Services, s.Cluster.Endpoints, s.Cluster.Slices, s.Cluster.Ports, s.Cluster.Nodes = 7, 6, 2, 2, 5
	s.Cluster.IPFamilies, s.Cluster.LocalShare = []string{"IPv4", "IPv6"}, 0.3
	s.Churn = scenario.Churn{Kind: k, Rate: 50}
	s.Duration = metav1.Duration{Duration: 5 * time.Second}
	switch k {
	case scenario.Burst, scenario.Services, scenario.Scale:
		s.Churn.Size = 10
	case scenario.Rolling:
		s.Churn.Size = 250
	case scenario.Restart, scenario.HNSRestart:
		s.Churn.Every = metav1.Duration{Duration: time.Second}
	case scenario.Cycle:
		s.Churn.Size, s.Churn.Steps, s.Churn.Every = 10, []int{1, 130, 10, 0, 120}, metav1.Duration{Duration: 100 * time.Millisecond}
	}
	return s
}

// model holds objects as an API server would.
type model struct {
	services map[string]bool
	slices   map[string]*discoveryv1.EndpointSlice
}

func (m *model) apply(t *testing.T, c Change) {
	t.Helper()
	for _, w := range c.Writes {
		switch {
		case w.Service != nil && w.Delete:
			delete(m.services, w.Service.Name)
		case w.Service != nil:
			m.services[w.Service.Name] = true
		case w.Delete:
			delete(m.slices, w.Slice.Name)
		default:
			if len(w.Slice.Endpoints) > maxPerSlice {
				t.Errorf("slice %s has %d endpoints", w.Slice.Name, len(w.Slice.Endpoints))
			}
			m.slices[w.Slice.Name] = w.Slice
		}
	}
}

// backends are those of the Service with that name.
func (m *model) backends(name, family string) []netip.Addr {
	var all []netip.Addr
	for _, s := range m.slices {
		if s.Labels[discoveryv1.LabelServiceName] != name || string(s.AddressType) != family || !m.services[name] {
			continue
		}
		for _, e := range s.Endpoints {
			all = append(all, netip.MustParseAddr(e.Addresses[0]))
		}
	}
	return sorted(all)
}

func sorted(ips []netip.Addr) []netip.Addr {
	return slices.SortedFunc(slices.Values(ips), netip.Addr.Compare)
}

// TestWants compares what each change says that HNS must hold with what follows from the objects written until then.
func TestWants(t *testing.T) {
	for _, k := range scenario.Kinds() {
		t.Run(string(k), func(t *testing.T) {
			g := NewGenerator(small(k), false)
			m := &model{map[string]bool{}, map[string]*discoveryv1.EndpointSlice{}}
			name := map[netip.Addr]string{}
			wants, last, n := 0, time.Duration(0), 0
			for c, ok := g.Initial(), true; ok; c, ok = g.Next() {
				m.apply(t, c)
				for _, w := range c.Writes {
					if w.Service != nil {
						for _, ip := range w.Service.Spec.ClusterIPs {
							name[netip.MustParseAddr(ip)] = w.Service.Name
						}
					}
				}
				for _, w := range c.Wants {
					wants++
					family := w.Frontend.Family.String()
					if objects := m.backends(name[w.Frontend.VIP], family); !slices.Equal(objects, sorted(w.Backends)) {
						t.Fatalf("change %d at %s: objects give %s backends %v, it wants %v", n, c.At, w.Frontend, objects, w.Backends)
					}
				}
				if c.At < last {
					t.Fatalf("change %d comes at %s, the one before at %s", n, c.At, last)
				}
				last = c.At
				n++
			}
			// Actions come on top; a cycle pauses.
			if rate := float64(n) / 5; k != scenario.Cycle && (rate < 40 || rate > 53) {
				t.Errorf("%d changes in 5 s, want 50 a second", n)
			}
			if initial := 7 * 2 * 2; k != scenario.Metadata && wants <= initial {
				t.Error("no change wants anything")
			}
		})
	}
}

func TestSeed(t *testing.T) {
	changes := func(seed uint64) string {
		s := small(scenario.Steady)
		s.Seed = seed
		g := NewGenerator(s, false)
		out := fmt.Sprint(g.Initial().Wants)
		for c, ok := g.Next(); ok; c, ok = g.Next() {
			out += fmt.Sprint(c.At, c.Wants)
		}
		return out
	}
	first, again := changes(1), changes(1)
	if first != again {
		t.Error("the same seed makes other changes")
	}
	if first == changes(2) {
		t.Error("another seed makes the same changes")
	}
}

func TestNeededWrites(t *testing.T) {
	for _, c := range []struct {
		kind     scenario.Kind
		modifies bool
		want     []int
	}{
		{scenario.Steady, false, []int{4}},   // create and delete an endpoint, delete and create the load balancer
		{scenario.Steady, true, []int{3}},    // the load balancer is modified
		{scenario.Scale, true, []int{2}},     // one endpoint, one load balancer
		{scenario.Services, false, []int{7}}, // six endpoints and the load balancer
		{scenario.Metadata, false, []int{0}},
	} {
		s := small(c.kind)
		s.Cluster.IPFamilies, s.Cluster.LocalShare, s.Cluster.Ports = []string{"IPv4"}, 0, 1
		g := NewGenerator(s, c.modifies)
		for n := range 30 {
			if change, _ := g.Next(); !slices.Contains(c.want, change.NeededWrites) {
				t.Errorf("%s, modifies %t: change %d needs %d writes, want %v", c.kind, c.modifies, n, change.NeededWrites, c.want)
			}
		}
	}
}

// TestLocal: the network plugin hears of each pod of the node that comes or goes.
func TestLocal(t *testing.T) {
	s := small(scenario.Steady)
	s.Cluster.LocalShare = 1
	g := NewGenerator(s, false)
	live := map[netip.Addr]bool{}
	for c, ok := g.Initial(), true; ok; c, ok = g.Next() {
		for _, ip := range c.Appear {
			live[ip] = true
		}
		for _, w := range c.Wants {
			for _, ip := range w.Backends {
				if !live[ip] {
					t.Fatalf("%s is wanted and has not appeared", ip)
				}
			}
		}
		for _, ip := range c.Vanish {
			delete(live, ip)
		}
	}
	if want := 7 * 6 * 2; len(live) != want {
		t.Errorf("%d local addresses live at the end, want %d", len(live), want)
	}
}

// TestCycle: the Service has the numbers of endpoints of the steps one after another.
func TestCycle(t *testing.T) {
	s := small(scenario.Cycle)
	g := NewGenerator(s, false)
	cycled := g.services[len(g.services)-1]
	left := s.Churn.Steps
	for range 100 {
		if _, ok := g.Next(); ok && len(left) > 0 && cycled.count() == left[0] {
			left = left[1:]
		}
	}
	if len(left) > 0 {
		t.Errorf("the Service never came to %d endpoints", left[0])
	}
}
