// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests hnsproxy against a real Kubernetes control plane and an emulated HNS.
package e2e

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
)

// endpoint is what a test wants to know of an endpoint in a slice.
type endpoint struct {
	IP, Node, Zone              string
	Ready, Serving, Terminating bool
	Port                        int32
}

// TestEndpointSlicesAppear shows that the ground on which the other tests stand is real: Pods that the kubelet helper runs
// become endpoints in slices of the real controller, with each state a Pod can have, also after the API server was away, and
// slices of a deleted Service go away.
func TestEndpointSlicesAppear(t *testing.T) {
	namespace := plane.Namespace(t)
	ctx := t.Context()
	kubelets := kubelet.New(plane.Admin)
	addNodes(t, kubelets)
	createService(t, plane.Admin, namespace)
	group := &kubelet.Group{
		Kubelet: kubelets,
		Nodes:   []string{"node-a", "node-b"},
		Template: kubelet.Pod{Namespace: namespace, Name: "web", Labels: map[string]string{"app": "web"},
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}},
	}

	must(t, group.Scale(ctx, 2))
	first := endpoint{IP: "10.244.1.2", Node: "node-a", Zone: "zone-a", Ready: true, Serving: true, Port: 8080}
	second := endpoint{IP: "10.244.2.2", Node: "node-b", Zone: "zone-b", Ready: true, Serving: true, Port: 8080}
	awaitEndpoints(t, plane.Admin, namespace, []endpoint{first, second})

	must(t, kubelets.SetReady(ctx, namespace, "web-0", false))
	must(t, kubelets.TerminatePod(ctx, namespace, "web-1"))
	first.Ready, first.Serving = false, false
	second.Ready, second.Terminating = false, true
	awaitEndpoints(t, plane.Admin, namespace, []endpoint{first, second})

	plane.StopAPIServer()
	t.Cleanup(func() { _ = plane.StartAPIServer(context.Background()) }) // an error when the test has done it
	if _, err := plane.Admin.CoreV1().Nodes().List(ctx, metav1.ListOptions{}); err == nil {
		t.Fatal("a stopped API server answered")
	}
	must(t, plane.StartAPIServer(ctx))
	group.Template.Ports[0].ContainerPort = 9090 // the Service names its target port
	must(t, group.RollingUpdate(ctx))
	awaitEndpoints(t, plane.Admin, namespace, []endpoint{
		{IP: "10.244.1.3", Node: "node-a", Zone: "zone-a", Ready: true, Serving: true, Port: 9090},
		{IP: "10.244.2.3", Node: "node-b", Zone: "zone-b", Ready: true, Serving: true, Port: 9090},
	})

	must(t, plane.Admin.CoreV1().Services(namespace).Delete(ctx, "web", metav1.DeleteOptions{}))
	awaitEndpoints(t, plane.Admin, namespace, nil)
}

// TestShippedRBAC shows that deploy/rbac.yaml lets hnsproxy's identity do what it needs and nothing else, and that its token
// outlives a crash of the API server.
func TestShippedRBAC(t *testing.T) {
	namespace := plane.Namespace(t)
	ctx := t.Context()
	createService(t, plane.Admin, namespace)
	config, err := plane.RESTConfig(ctx, harness.User())
	must(t, err)
	if !strings.HasPrefix(config.Host, "https://127.0.0.1:") {
		t.Fatalf("the API server is at %s, want TLS on loopback", config.Host)
	}
	client, err := kubernetes.NewForConfig(config)
	must(t, err)

	list, now := metav1.ListOptions{}, metav1.DeleteOptions{}
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-", Namespace: namespace}, EventTime: metav1.NowMicro(),
		Regarding: corev1.ObjectReference{Kind: "Service", Namespace: namespace, Name: "web"}, Type: corev1.EventTypeNormal,
		ReportingController: "hnsproxy", ReportingInstance: "node-a", Reason: "Test", Action: "Test",
	}
	for _, test := range []struct {
		name    string
		allowed bool
		do      func() error
	}{
		{"list Services", true, func() error { _, err := client.CoreV1().Services("").List(ctx, list); return err }},
		{"watch Services", true, func() error { w, err := client.CoreV1().Services("").Watch(ctx, list); return stop(w, err) }},
		{"list EndpointSlices", true, func() error { _, err := client.DiscoveryV1().EndpointSlices("").List(ctx, list); return err }},
		{"watch EndpointSlices", true, func() error {
			w, err := client.DiscoveryV1().EndpointSlices("").Watch(ctx, list)
			return stop(w, err)
		}},
		{"list Nodes", true, func() error { _, err := client.CoreV1().Nodes().List(ctx, list); return err }},
		{"watch Nodes", true, func() error { w, err := client.CoreV1().Nodes().Watch(ctx, list); return stop(w, err) }},
		{"create Events", true, func() error {
			var err error
			event, err = client.EventsV1().Events(namespace).Create(ctx, event, metav1.CreateOptions{})
			return err
		}},
		{"patch Events", true, func() error {
			again := []byte(`{"series": {"count": 2, "lastObservedTime": "2026-01-31T00:00:00.000000Z"}}`)
			_, err := client.EventsV1().Events(namespace).Patch(ctx, event.Name, types.MergePatchType, again, metav1.PatchOptions{})
			return err
		}},
		{"get a Node", false, func() error { _, err := client.CoreV1().Nodes().Get(ctx, "node-a", metav1.GetOptions{}); return err }},
		{"list ServiceCIDRs", false, func() error { _, err := client.NetworkingV1().ServiceCIDRs().List(ctx, list); return err }},
		{"delete a Service", false, func() error { return client.CoreV1().Services(namespace).Delete(ctx, "web", now) }},
		{"list Pods", false, func() error { _, err := client.CoreV1().Pods("").List(ctx, list); return err }},
		{"list Secrets", false, func() error { _, err := client.CoreV1().Secrets("").List(ctx, list); return err }},
	} {
		err := test.do()
		if test.allowed && err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if !test.allowed && !apierrors.IsForbidden(err) {
			t.Errorf("%s: got %v, want forbidden", test.name, err)
		}
	}

	plane.KillAPIServer()
	t.Cleanup(func() { _ = plane.StartAPIServer(context.Background()) }) // an error when the test has done it
	if _, err := client.CoreV1().Services("").List(ctx, list); err == nil {
		t.Error("a killed API server answered")
	}
	must(t, plane.StartAPIServer(ctx))
	if _, err := client.CoreV1().Services("").List(ctx, list); err != nil {
		t.Errorf("list Services after a crash of the API server: %v", err)
	}
}

func stop(watch interface{ Stop() }, err error) error {
	if err == nil {
		watch.Stop()
	}
	return err
}

func addNodes(t *testing.T, kubelets *kubelet.Kubelet) {
	t.Helper()
	for _, node := range []kubelet.Node{
		{Name: "node-a", Zone: "zone-a", InternalIPs: addrs("10.0.0.1"), PodCIDRs: prefixes("10.244.1.0/24")},
		{Name: "node-b", Zone: "zone-b", InternalIPs: addrs("10.0.0.2"), PodCIDRs: prefixes("10.244.2.0/24")},
	} {
		_, err := kubelets.AddNode(t.Context(), node)
		must(t, err)
		t.Cleanup(func() { must(t, kubelets.RemoveNode(context.Background(), node.Name)) })
	}
}

func createService(t *testing.T, client kubernetes.Interface, namespace string) {
	t.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "web"},
			Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}},
		},
	}
	_, err := client.CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{})
	must(t, err)
}

// awaitEndpoints waits until the slices of Service "web" hold exactly the wanted endpoints.
func awaitEndpoints(t *testing.T, client kubernetes.Interface, namespace string, want []endpoint) {
	t.Helper()
	var got []endpoint
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true,
		func(ctx context.Context) (bool, error) {
			var err error
			got, err = endpoints(ctx, client, namespace)
			return cmp.Equal(want, got), err
		})
	if err != nil {
		t.Fatalf("endpoints (-want +got), %v:\n%s", err, cmp.Diff(want, got))
	}
}

// endpoints returns the endpoints of Service "web", sorted by address.
func endpoints(ctx context.Context, client kubernetes.Interface, namespace string) ([]endpoint, error) {
	list, err := client.DiscoveryV1().EndpointSlices(namespace).
		List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web"})
	if err != nil {
		return nil, err
	}
	var found []endpoint
	for _, slice := range list.Items {
		for _, e := range slice.Endpoints {
			for _, port := range slice.Ports {
				found = append(found, endpoint{IP: e.Addresses[0], Node: *e.NodeName, Zone: *e.Zone, Ready: *e.Conditions.Ready,
					Serving: *e.Conditions.Serving, Terminating: *e.Conditions.Terminating, Port: *port.Port})
			}
		}
	}
	slices.SortFunc(found, func(a, b endpoint) int { return strings.Compare(a.IP, b.IP) })
	return found, nil
}

func addrs(text ...string) []netip.Addr {
	var all []netip.Addr
	for _, one := range text {
		all = append(all, netip.MustParseAddr(one))
	}
	return all
}

func prefixes(text ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, one := range text {
		all = append(all, netip.MustParsePrefix(one))
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
