// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestServiceLifecycle creates, scales, rolls, changes and deletes a Service. After each step HNS holds exactly what it must,
// and at the end what it held at the beginning.
func TestServiceLifecycle(t *testing.T) {
	for _, setup := range bothWays(harness.Setups()...) {
		t.Run(setup.String(), func(t *testing.T) {
			w := harness.New(t, plane, setup)
			w.StartProxy()
			w.Converge()
			before := w.Held()
			group := w.Group("web", 3)
			w.Service("web")
			w.Converge()

			for _, count := range []int{8, 2} {
				w.Must(group.Scale(t.Context(), count))
				w.Converge()
			}
			w.Must(group.RollingUpdate(t.Context()))
			w.Converge()

			t.Log("another port, a named target port, a target port that rolls, a second port")
			w.UpdateService("web", port(8000, 8080))
			w.Converge()
			w.UpdateService("web", func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromString("http") })
			w.Converge()
			group.Template.Ports[0].ContainerPort = 9090
			for range group.Pods() {
				w.Must(group.ReplaceOldest(t.Context()))
				w.Converge() // with two target ports at first
			}
			w.UpdateService("web", func(s *corev1.Service) {
				s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "udp", Port: 8000, Protocol: corev1.ProtocolUDP})
			})
			w.Converge()

			t.Log("no Pod is ready, and ready again")
			for _, ready := range []bool{false, true} {
				for _, pod := range group.Pods() {
					w.Must(w.Kubelet.SetReady(t.Context(), pod.Namespace, pod.Name, ready))
				}
				w.Converge()
			}
			t.Log("every Pod terminates but serves")
			for _, pod := range group.Pods() {
				w.Must(w.Kubelet.TerminatePod(t.Context(), pod.Namespace, pod.Name))
			}
			w.Converge() // the controller is done
			w.Fence()    // hnsproxy has seen what it did, though nothing was to be changed
			w.Converge()
			w.Reaches(harness.TCP(harness.FromMaster(), w.Get("web").Spec.ClusterIP, 8000), at(group.Pods()[0], 9090), at(group.Pods()[1], 9090))

			t.Log("nothing is left over")
			w.DeleteService("web")
			w.Must(group.Scale(t.Context(), 0))
			w.Converge()
			if diff := cmp.Diff(before, w.Held()); diff != "" {
				t.Errorf("HNS before the Service and after it (-before +after):\n%s", diff)
			}
		})
	}
}

// TestOneServiceAtATime shows that a change costs what changed: a Pod more on another node takes two calls for a Service with
// one frontend, and two when it goes, whatever else there is. What no proxy cares for takes none.
func TestOneServiceAtATime(t *testing.T) {
	for _, setup := range bothWays(harness.Setup{Profile: profiles.WS2025(), Overlay: true}) {
		t.Run(setup.String(), func(t *testing.T) { oneServiceAtATime(t, setup) })
	}
}

func oneServiceAtATime(t *testing.T, setup harness.Setup) {
	t.Helper()
	w := harness.New(t, plane, setup)
	for _, name := range []string{"one", "two", "three"} {
		w.Group(name, 4)
		w.Service(name)
	}
	group := w.Group("web", 3, w.Peer)
	w.Service("web")
	w.StartProxy()
	w.Converge()

	w.HNS.ResetCounts()
	w.UpdateService("one", func(s *corev1.Service) {
		s.Annotations, s.Labels = map[string]string{"note": "new"}, map[string]string{"team": "new"}
	})
	w.Fence() // costs a few writes itself, none of which changes a load balancer
	if counts := w.HNS.Counts(); counts[hnslb.VerbCreateLoadBalancer] != 1 || counts[hnslb.VerbUpdateLoadBalancer] != 0 {
		t.Errorf("new labels and annotations made hnsproxy write: %v", counts)
	}
	w.HNS.ResetCounts()
	for _, step := range []struct {
		pods int
		want map[hnslb.Verb]int
	}{
		{4, map[hnslb.Verb]int{hnslb.VerbCreateEndpoint: 1, hnslb.VerbUpdateLoadBalancer: 1}},
		{3, map[hnslb.Verb]int{hnslb.VerbUpdateLoadBalancer: 1, hnslb.VerbDeleteEndpoint: 1}},
	} {
		w.Must(group.Scale(t.Context(), step.pods))
		w.Converge()
		if diff := cmp.Diff(step.want, w.Calls()); diff != "" {
			t.Errorf("calls of HNS for %d Pods (-want +got):\n%s", step.pods, diff)
		}
		w.HNS.ResetCounts()
	}
}
