// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// TestHealthCheckNodePort asks the health-check node port that the API server chose, as a cloud's load balancer does, while
// Pods come, end and go and the traffic policy changes. What upstream's own suite asks of it: "should fail health check node
// port if there are only terminating endpoints", and node port and health-check node port are right when
// externalTrafficPolicy changes.
func TestHealthCheckNodePort(t *testing.T) {
	setups := harness.Setups()[1:3]
	for _, setup := range bothWays(setups...) {
		t.Run(setup.String(), func(t *testing.T) {
			w := harness.New(t, plane, setup)
			group := w.Group("web", 2, w.Node, w.Peer)
			here, there := group.Pods()[0], group.Pods()[1]
			policy := func(p corev1.ServiceExternalTrafficPolicy) func(*corev1.Service) {
				return func(s *corev1.Service) { s.Spec.Type, s.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, p }
			}
			service := w.Service("web", policy(corev1.ServiceExternalTrafficPolicyLocal))
			w.Ingress("web", balancerIP)
			w.StartProxy()
			answers(t, w, service.Spec.HealthCheckNodePort, 200, 1)
			w.Converge()
			w.Reaches(nodePort(w, service), at(here, 8080))

			t.Log("the Pod on the node is terminating, and serves who comes all the same")
			w.Must(w.Kubelet.TerminatePod(t.Context(), here.Namespace, here.Name))
			answers(t, w, service.Spec.HealthCheckNodePort, 503, 0)
			w.Converge()
			w.Reaches(nodePort(w, service), at(here, 8080))
			w.Must(w.Kubelet.RemovePod(t.Context(), here.Namespace, here.Name))
			answers(t, w, service.Spec.HealthCheckNodePort, 503, 0)
			w.Converge()
			w.Lost(nodePort(w, service))

			t.Log("externalTrafficPolicy Cluster, and Local again")
			again := w.Group("web", 1, w.Node).Pods()[0]
			answers(t, w, service.Spec.HealthCheckNodePort, 200, 1)
			old := service.Spec.HealthCheckNodePort
			service = w.UpdateService("web", policy(corev1.ServiceExternalTrafficPolicyCluster))
			w.Eventually("close the health-check node port", func() bool {
				_, _, err := harness.Get(checkURL(old))
				return err != nil
			})
			w.Converge()
			w.Reaches(nodePort(w, service), at(again, 8080), at(there, 8080))
			service = w.UpdateService("web", policy(corev1.ServiceExternalTrafficPolicyLocal))
			answers(t, w, service.Spec.HealthCheckNodePort, 200, 1)
			w.Converge()
			w.Reaches(nodePort(w, service), at(again, 8080))

			t.Log("HNS is away: the load balancer learns all the same that nobody is here")
			w.HNS.Stop()
			w.Must(w.Kubelet.SetReady(t.Context(), again.Namespace, again.Name, false))
			answers(t, w, service.Spec.HealthCheckNodePort, 503, 0)
			w.RestartHNS(emulator.RestartOptions{})
			w.Must(w.Kubelet.SetReady(t.Context(), again.Namespace, again.Name, true))
			answers(t, w, service.Spec.HealthCheckNodePort, 200, 1)
			w.Converge()
		})
	}
}

// nodePort is a packet from the internet to the first node port of a Service.
func nodePort(w *harness.World, service *corev1.Service) emulator.Packet {
	return harness.TCP(harness.FromInternet(), w.NodeIP, service.Spec.Ports[0].NodePort)
}

func checkURL(port int32) string { return fmt.Sprintf("http://127.0.0.1:%d/", port) }

// answers waits until a health-check node port answers with a code and that many local endpoints.
func answers(t *testing.T, w *harness.World, port int32, code, endpoints int) {
	t.Helper()
	if port == 0 {
		t.Fatal("the API server gave no health-check node port")
	}
	count := fmt.Sprintf("\"localEndpoints\": %d,", endpoints)
	w.Eventually(fmt.Sprintf("health-check node port %d answers %d with %s", port, code, count), func() bool {
		got, body, err := harness.Get(checkURL(port))
		return err == nil && got == code && strings.Contains(body, count)
	})
}
