// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// kindsStep is one change of the Service "web" in TestServiceKinds.
type kindsStep struct {
	name   string
	change func(*corev1.Service)
	// frontends is how many load balancers the Service has then in each family.
	frontends int
}

func kindsSteps() []kindsStep {
	kind := func(t corev1.ServiceType) func(*corev1.Service) { return func(s *corev1.Service) { s.Spec.Type = t } }
	return []kindsStep{
		{"NodePort", kind(corev1.ServiceTypeNodePort), 2},
		{"LoadBalancer, not ready", kind(corev1.ServiceTypeLoadBalancer), 2},
		{"external IP", func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"198.51.100.80", "2001:db8::80"} }, 3},
		{"externalTrafficPolicy Local", func(s *corev1.Service) {
			s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		}, 3},
		{"internalTrafficPolicy Local", func(s *corev1.Service) {
			s.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyLocal)
		}, 3},
		{"both Cluster again, with session affinity", func(s *corev1.Service) {
			s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
			s.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyCluster)
			s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
		}, 3},
		{"ClusterIP", func(s *corev1.Service) {
			s.Spec.Type, s.Spec.ExternalIPs, s.Spec.SessionAffinity = corev1.ServiceTypeClusterIP, nil, corev1.ServiceAffinityNone
			s.Spec.SessionAffinityConfig = nil
		}, 1},
		{"another proxy's", func(s *corev1.Service) {
			s.Labels = map[string]string{"service.kubernetes.io/service-proxy-name": "other"}
		}, 0},
		{"ours again", func(s *corev1.Service) { s.Labels = nil }, 1},
		{"ExternalName", func(s *corev1.Service) {
			s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "web.example.com"}
		}, 0},
		{"headless", func(s *corev1.Service) {
			s.Spec = corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: s.Spec.Ports, Selector: map[string]string{"app": "web"}}
		}, 0},
	}
}

// TestServiceKinds turns one Service into every kind of Service, through the API server's own selectors.
func TestServiceKinds(t *testing.T) {
	setups := append(harness.Setups(), harness.Setup{Profile: profiles.WS2022(), DSR: true},
		harness.Setup{Profile: profiles.WS2019(), Overlay: true, DSR: true})
	for _, setup := range bothWays(setups...) {
		t.Run(setup.String(), func(t *testing.T) {
			w := harness.New(t, plane, setup)
			w.Group("web", 4)
			w.StartProxy()
			w.Converge()
			before := w.Held()
			w.Service("web")
			w.Converge()
			for _, step := range kindsSteps() {
				service := w.UpdateService("web", step.change)
				w.Converge()
				for six, want := range map[bool]int{false: step.frontends, true: step.frontends} {
					if six && setup.Overlay {
						want = 0
					}
					if got := count(w.Held(), six) - count(before, six); got != want {
						t.Errorf("%s: %d load balancers (IPv6 %t), want %d", step.name, got, six, want)
					}
				}
				if step.name == "LoadBalancer, not ready" {
					w.Ingress("web", balancerIP)
					w.Converge()
					w.Reaches(harness.TCP(harness.FromInternet(), balancerIP, service.Spec.Ports[0].Port), w.Serving("web")...)
					w.Must(plane.SetIngress(t.Context(), w.Namespace, "web"))
				}
			}
			w.DeleteService("web")
			w.Converge()
			if diff := cmp.Diff(before, w.Held()); diff != "" {
				t.Errorf("HNS before the Service and after it (-before +after):\n%s", diff)
			}
		})
	}
}

// count counts the load balancers of a family in the lines of World.Held.
func count(lines []string, six bool) int {
	n := 0
	for _, line := range lines {
		if !strings.HasPrefix(line, "endpoint ") && strings.Contains(line, " IPv6") == six {
			n++
		}
	}
	return n
}

// TestBackendsElsewhere has backends that are no Pods of a node's range: on the host's network of other nodes, and on a
// virtual node with an address from nowhere. On an overlay only the node's own address gets their answers.
func TestBackendsElsewhere(t *testing.T) {
	for _, setup := range bothWays(harness.Setups()...) {
		t.Run(setup.String(), func(t *testing.T) {
			w := harness.New(t, plane, setup)
			virtual := w.Namespace + "-virtual"
			w.AddNode(kubelet.Node{Name: virtual, Zone: harness.FarZone})
			pods := []kubelet.Pod{
				{Name: "on-host", Node: w.Peer, HostNetwork: true},
				{Name: "on-linux", Node: w.Linux, HostNetwork: true},
				{Name: "on-cloud", Node: virtual, IPs: addrs("172.20.7.9")},
				{Name: "here", Node: w.Node},
			}
			client := harness.FromPod(w.Pod("client", w.Node))
			w.StartProxy()
			for _, pod := range pods {
				w.Service(pod.Name)
				w.Service("all-and-"+pod.Name, func(s *corev1.Service) { s.Spec.Selector = map[string]string{"all": "yes"} })
				pod.Namespace, pod.Labels = w.Namespace, map[string]string{"app": pod.Name, "all": "yes"}
				object, err := w.Kubelet.RunPod(t.Context(), pod)
				w.Must(err)
				w.Converge()
				verdicts := w.Reaches(harness.TCP(client, w.Get(pod.Name).Spec.ClusterIP, 80), at(object, 8080))
				if want := w.NodeIP; setup.Overlay && pod.Name != "here" && verdicts[0].SourceIP.String() != want {
					t.Errorf("%s is asked from %s, want the node's own address %s", pod.Name, verdicts[0].SourceIP, want)
				}
			}
		})
	}
}
