// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
)

// TestPodsBecomeEndpoints goes through what a Pod can be, and compares with what the EndpointSlice controller makes of it: one
// line for each endpoint with address, zone hint and conditions.
func TestPodsBecomeEndpoints(t *testing.T) {
	plane := controlplane.New(t)
	namespace, ctx := plane.Namespace(t), t.Context()
	plugin := &recorder{}
	kubelets := kubelet.New(plane.Admin)
	for i, zone := range []string{"east", "west"} {
		_, err := kubelets.AddNode(ctx, kubelet.Node{
			Name: "node-" + zone, Zone: zone, OS: "windows", Plugin: plugin,
			InternalIPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})},
			PodCIDRs: []netip.Prefix{
				netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", i+1)), netip.MustParsePrefix(fmt.Sprintf("fd00:244:%d::/64", i+1)),
			},
		})
		check(t, err)
	}
	check(t, createDualStackService(ctx, plane, namespace))

	labels := map[string]string{"app": "web"}
	for _, pod := range []kubelet.Pod{
		{Name: "plain", Node: "node-east"},
		{Name: "host", Node: "node-west", HostNetwork: true},
		{Name: "starting", Node: "node-west", NotReady: true},
		{Name: "given", Node: "node-west", IPs: []netip.Addr{netip.MustParseAddr("10.9.9.9")}},
		{Name: "evicted", Node: "node-east"},
	} {
		pod.Namespace, pod.Labels = namespace, labels
		_, err := kubelets.RunPod(ctx, pod)
		check(t, err)
	}
	check(t, kubelets.SetPhase(ctx, namespace, "evicted", corev1.PodFailed))
	check(t, kubelets.TerminatePod(ctx, namespace, "given"))
	await(t, plane, namespace, []string{
		"10.0.0.2 hint west ready true serving true terminating false",
		"10.244.1.2 hint east ready true serving true terminating false",
		"10.244.2.2 hint none ready false serving false terminating false",
		"10.9.9.9 hint none ready false serving true terminating true",
		"fd00:244:1::2 hint east ready true serving true terminating false",
		"fd00:244:2::2 hint none ready false serving false terminating false",
	})

	check(t, kubelets.RemovePod(ctx, namespace, "given"))
	check(t, kubelets.SetReady(ctx, namespace, "starting", true))
	await(t, plane, namespace, []string{
		"10.0.0.2 hint west ready true serving true terminating false",
		"10.244.1.2 hint east ready true serving true terminating false",
		"10.244.2.2 hint west ready true serving true terminating false",
		"fd00:244:1::2 hint east ready true serving true terminating false",
		"fd00:244:2::2 hint west ready true serving true terminating false",
	})
	want := []string{"add 10.244.1.2", "add 10.244.2.2", "add 10.9.9.9", "add 10.244.1.3", "del 10.9.9.9"}
	if diff := cmp.Diff(want, plugin.calls); diff != "" {
		t.Errorf("calls of the network plugin (-want +got):\n%s", diff)
	}
	check(t, kubelets.RemoveNode(ctx, "node-west"))
}

func TestRunPodRefusesWhatNoNodeCanRun(t *testing.T) {
	kubelets := kubelet.New(nil)
	_, err := kubelets.RunPod(t.Context(), kubelet.Pod{Namespace: "default", Name: "web", Node: "nowhere"})
	if err == nil || !strings.Contains(err.Error(), `Pod default/web: node "nowhere"`) {
		t.Errorf("got %v, want an error that names Pod and node", err)
	}
}

// recorder is a network plugin that notes its calls.
type recorder struct{ calls []string }

func (r *recorder) Add(_ context.Context, pod *corev1.Pod) error {
	r.calls = append(r.calls, "add "+pod.Status.PodIP)
	return nil
}

func (r *recorder) Del(_ context.Context, pod *corev1.Pod) error {
	r.calls = append(r.calls, "del "+pod.Status.PodIP)
	return nil
}

func createDualStackService(ctx context.Context, plane *controlplane.ControlPlane, namespace string) error {
	families, distribution := corev1.IPFamilyPolicyRequireDualStack, corev1.ServiceTrafficDistributionPreferSameZone
	_, err := plane.Admin.CoreV1().Services(namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}},
			Type: corev1.ServiceTypeLoadBalancer, IPFamilyPolicy: &families, TrafficDistribution: &distribution,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	vip := corev1.LoadBalancerIPModeVIP
	return plane.SetIngress(ctx, namespace, "web", corev1.LoadBalancerIngress{IP: "203.0.113.1", IPMode: &vip})
}

// await waits until the endpoints of the namespace, as lines in order, are the wanted ones.
func await(t *testing.T, plane *controlplane.ControlPlane, namespace string, want []string) {
	t.Helper()
	var got []string
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true,
		func(ctx context.Context) (bool, error) {
			list, err := plane.Admin.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return false, err
			}
			got = nil
			for _, slice := range list.Items {
				for _, endpoint := range slice.Endpoints {
					got = append(got, line(endpoint))
				}
			}
			slices.Sort(got)
			return slices.Equal(want, got), nil
		})
	if err != nil {
		t.Fatalf("endpoints (-want +got), %v:\n%s", err, cmp.Diff(want, got))
	}
}

func line(e discoveryv1.Endpoint) string {
	hint := "none"
	if e.Hints != nil && len(e.Hints.ForZones) == 1 {
		hint = e.Hints.ForZones[0].Name
	}
	c := e.Conditions
	return fmt.Sprintf("%s hint %s ready %t serving %t terminating %t", e.Addresses[0], hint, *c.Ready, *c.Serving, *c.Terminating)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
