// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

// TestTraffic: whatever the cluster is and however it came about, every packet goes where
// Kubernetes promises, but for the limits of Windows.
func TestTraffic(t *testing.T) {
	var mu sync.Mutex
	total := tally{}
	ran, histories := 0, 0
	t.Run("on", func(t *testing.T) {
		for name, r := range releases() {
			for _, overlay := range []bool{false, true} {
				network := map[bool]string{false: "L2Bridge", true: "Overlay"}[overlay]
				t.Run(network+"/"+name, func(t *testing.T) {
					t.Parallel()
					used, lived := tally{}, 0
					if err := live(t, machine{release: r, Overlay: overlay, SourceVIP: overlay, Wanderer: !overlay}, wandering(), used); err != nil {
						t.Fatal(err)
					}
					rapid.Check(t, func(rt *rapid.T) {
						m, steps := someMachine(r, overlay).Draw(rt, "machine"), someHistory().Draw(rt, "history")
						lived++
						if err := live(t, m, steps, used); err != nil {
							rt.Fatalf("%v", err)
						}
					})
					mu.Lock()
					defer mu.Unlock()
					for r, n := range used {
						total[r] += n
					}
					ran++
					histories += lived
				})
			}
		}
	})
	text, never := total.report(slices.Concat(kubernetesRules(), windowsRules()))
	t.Logf("rules that decided about packets in %d histories:\n%s", histories, text)
	if !t.Failed() && ran == 2*len(releases()) && histories >= 100*ran && len(never) > 0 {
		t.Errorf("rules that no packet ever met:\n%q", never)
	}
}

// wandering is a history that chance makes too seldom: the only endpoint of a Service with
// policy Local is a pod here of which its slice says that it is elsewhere.
func wandering() [][]change {
	return [][]change{{
		{Kind: "service", As: aService{Type: corev1.ServiceTypeLoadBalancer, Ports: []int{0}, NodePorts: 1, External: externalIPs()[:1],
			Ingress: []anIngress{{IP: ingressAddresses()[1]}}, ExternalLocal: true}},
		{Kind: "slice", Slice: aSlice{Type: discoveryv1.AddressTypeIPv4, Web: 8080, Endpoints: []anEndpoint{{Host: wanderer}}}},
	}, {
		{Kind: "pod", Pod: wanderer},
	}}
}

func someMachine(r release, overlay bool) *rapid.Generator[machine] {
	return rapid.Custom(func(t *rapid.T) machine {
		return machine{
			release: r, Overlay: overlay,
			DSR:         oftenOf(3, true, false).Draw(t, "dsr"),
			LoopbackDSR: rapid.Bool().Draw(t, "loopback DSR"),
			SourceVIP:   overlay && oftenOf(7, true, false).Draw(t, "source VIP"),
			SkipRanges:  oftenOf(3, false, true).Draw(t, "skip ranges"),
			NodePortRanges: oftenOf(5, nil, []string{"10.0.0.0/24"}, []string{"198.18.0.0/15"},
				[]string{"198.18.0.0/15", "fd00:10::/64"}).Draw(t, "node port ranges"),
			HostEndpoint: oftenOf(3, false, true).Draw(t, "host endpoint"),
			Wanderer:     !overlay && rapid.Bool().Draw(t, "wanderer"),
		}
	})
}

// live lets a history happen on a new node, and returns the first thing that is wrong.
func live(t *testing.T, m machine, steps [][]change, used tally) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &m)
		for i, step := range steps {
			for _, c := range step {
				w.do(c)
			}
			w.settle()
			if err = w.check(used); err != nil {
				err = fmt.Errorf("after step %d: %w", i, err)
				return
			}
		}
	})
	return err
}

// TestCrowd: a load balancer takes so many backends, and then serves as many, in each
// release; before and after there are fewer.
func TestCrowd(t *testing.T) {
	for name, r := range releases() {
		t.Run(name, func(t *testing.T) {
			few := aSlice{Type: discoveryv1.AddressTypeIPv4, Web: 8080, DNS: 53, Endpoints: []anEndpoint{{Host: 1}, {Host: 2}, {Host: 11}}}
			full, many := few, few
			full.Crowd, many.Crowd = r.backends-len(few.Endpoints), r.backends
			service := aService{Type: corev1.ServiceTypeLoadBalancer, Ports: []int{0}, NodePorts: 1,
				External: externalIPs()[:1], Ingress: []anIngress{{IP: ingressAddresses()[1]}}}
			used := tally{}
			err := live(t, machine{release: r, DSR: true, LoopbackDSR: true}, [][]change{
				{{Kind: "pod", Pod: 1}, {Kind: "pod", Pod: 2}, {Kind: "service", As: service}, {Kind: "slice", Slice: few}},
				{{Kind: "slice", Slice: full}},
				{{Kind: "slice", Slice: many}},
				{{Kind: "slice", Slice: full}},
			}, used)
			if err != nil {
				t.Error(err)
			}
			if used[fewBackends] == 0 || used[delivered] == 0 {
				t.Errorf("left out for want of room: %d, delivered to all: %d", used[fewBackends], used[delivered])
			}
		})
	}
}

// describe says what there is to know about a packet that went wrong.
func (s *situation) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pods here: %v\n", s.pods)
	if s.answer.claim == nil {
		b.WriteString("no Service has this address\n")
		return b.String()
	}
	fmt.Fprintf(&b, "promised %v, DSR %v, lost %q, left out %v, dropped at %v\n", s.answer.promised, s.viaDSR, s.lost, s.leftOut, s.droppedAt)
	for _, e := range s.answer.endpoints[:min(8, len(s.answer.endpoints))] {
		fmt.Fprintf(&b, "  endpoint %s\n", e.addr)
	}
	c := s.answer.claim
	text, err := yaml.Marshal(c.service)
	fmt.Fprintf(&b, "%s of Service (error %v):\n%s", c.face, err, text)
	for _, e := range c.all[:min(8, len(c.all))] {
		text, err := yaml.Marshal(e.api)
		fmt.Fprintf(&b, "--- %s (error %v)\n%s", e.addr, err, text)
	}
	return b.String()
}
