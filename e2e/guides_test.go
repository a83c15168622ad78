// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

const (
	balancerIP = "203.0.113.20" // what the cloud gives win-webserver
	dnsIP      = "10.96.0.10"
	webPort    = 4444 // the node port of the guides
)

// TestGuides sets up what the guides for Windows clusters do, and makes each of their checks: the Services win-webserver
// (LoadBalancer) and iis (NodePort), a Pod of a DaemonSet on each Windows node, and cluster DNS on Linux.
func TestGuides(t *testing.T) {
	for _, setup := range bothWays(harness.Setups()...) {
		t.Run(setup.String(), func(t *testing.T) {
			w := harness.New(t, plane, setup)
			web, iis, daemons, dns := guideObjects(t, w)
			w.StartProxy()
			w.Converge()

			local, remote := web[0], web[1]
			webs := []string{at(local, 80), at(remote, 80)}
			iiss := []string{at(iis[0], 80), at(iis[1], 80)}
			dnss := []string{at(dns[0], 53), at(dns[1], 53)}
			fromPod := harness.FromPod(daemons[0])
			webIP, iisIP := w.Get("win-webserver").Spec.ClusterIP, w.Get("iis").Spec.ClusterIP
			iisPort := w.Get("iis").Spec.Ports[0].NodePort

			t.Log("pod to pod, on the same node and on another one")
			w.Reaches(harness.TCP(fromPod, local.Status.PodIP, 80), at(local, 80))
			w.Reaches(harness.TCP(fromPod, remote.Status.PodIP, 80), at(remote, 80))
			t.Log("pod to service IP, also of a Service that the pod serves itself")
			w.Reaches(harness.TCP(fromPod, webIP, 80), webs...)
			w.Reaches(harness.TCP(fromPod, iisIP, 80), iiss...)
			w.Reaches(harness.TCP(harness.FromPod(local), webIP, 80), webs...)
			t.Log("Linux master to service IP, and the internet to the load balancer's IP")
			w.Reaches(harness.TCP(harness.FromMaster(), webIP, 80), webs...)
			w.Reaches(harness.TCP(harness.FromMaster(), balancerIP, 80), webs...)
			w.Reaches(harness.TCP(harness.FromInternet(), balancerIP, 80), webs...)
			t.Log("node IP and port, from the master, from the internet and from the node itself")
			for _, from := range clients() {
				w.Reaches(harness.TCP(from, w.NodeIP, webPort), webs...)
				w.Reaches(harness.TCP(from, w.NodeIP, iisPort), iiss...)
			}
			t.Log("names, by UDP and by TCP")
			w.Reaches(harness.UDP(fromPod, dnsIP, 53), dnss...)
			w.Reaches(harness.TCP(fromPod, dnsIP, 53), dnss...)
			t.Log("the DaemonSet's Service reaches the pod on the same node alone")
			w.Reaches(harness.TCP(fromPod, w.Get("exporter").Spec.ClusterIP, 9182), at(daemons[0], 9182))
			t.Log("nobody else")
			w.Lost(harness.UDP(fromPod, webIP, 80))
			w.Lost(harness.TCP(fromPod, webIP, 81))
			w.Lost(harness.TCP(harness.FromInternet(), w.NodeIP, 80))
		})
	}
}

// guideObjects makes the objects of the guides and returns the Pods of each, those on hnsproxy's node first.
func guideObjects(t *testing.T, w *harness.World) (web, iis, daemons, dns []*corev1.Pod) {
	t.Helper()
	w.Service("win-webserver", port(80, 80), func(s *corev1.Service) {
		s.Spec.Type, s.Spec.Ports[0].NodePort = corev1.ServiceTypeLoadBalancer, webPort
	})
	w.Ingress("win-webserver", balancerIP)
	w.Service("iis", port(80, 80), func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort })
	w.Service("exporter", port(9182, 9182), func(s *corev1.Service) {
		s.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyLocal)
	})
	w.Service("kube-dns", func(s *corev1.Service) {
		s.Namespace, s.Spec.ClusterIP = metav1.NamespaceSystem, dnsIP
		s.Spec.Ports = []corev1.ServicePort{
			{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, TargetPort: intstr.FromInt32(53)},
			{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, TargetPort: intstr.FromInt32(53)},
		}
	})
	emptySystem(t)
	onLinux := &kubelet.Group{
		Kubelet: w.Kubelet, Nodes: []string{w.Linux},
		Template: kubelet.Pod{Namespace: metav1.NamespaceSystem, Name: "kube-dns", Labels: map[string]string{"app": "kube-dns"}},
	}
	w.Must(onLinux.Scale(t.Context(), 2))
	pods := func(name string) []*corev1.Pod { return w.Group(name, 2, w.Node, w.Peer).Pods() }
	return pods("win-webserver"), pods("iis"), pods("exporter"), onLinux.Pods()
}

// emptySystem removes what a test puts into the namespace kube-system when the test is done.
func emptySystem(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if err := plane.Empty(context.Background(), metav1.NamespaceSystem); err != nil {
			t.Error(err)
		}
	})
}

// port changes the one port of a Service.
func port(port, target int32) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Spec.Ports[0].Port, s.Spec.Ports[0].TargetPort = port, intstr.FromInt32(target)
	}
}

// at is a Pod's address with a port.
func at(pod *corev1.Pod, port uint16) string {
	return netip.AddrPortFrom(netip.MustParseAddr(pod.Status.PodIP), port).String()
}

// clients are those that can ask a node port: another node, somebody outside the cluster, and the node itself.
func clients() []emulator.Source {
	return []emulator.Source{harness.FromMaster(), harness.FromInternet(), emulator.Host()}
}
