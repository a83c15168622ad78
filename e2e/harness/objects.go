// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/util/retry"

	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
)

// In returns this world for making and reading the objects of another namespace. For all else there is the world itself.
func (w *World) In(namespace string) *World {
	other := *w
	other.Namespace = namespace
	return &other
}

// Service creates a Service in the test's namespace: of both IP families, with the selector app=name and TCP port 80, named
// http, to 8080, changed as told.
func (w *World) Service(name string, changes ...func(*corev1.Service)) *corev1.Service {
	w.tb.Helper()
	families := corev1.IPFamilyPolicyPreferDualStack
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.Namespace},
		Spec: corev1.ServiceSpec{
			Selector:       map[string]string{"app": name},
			IPFamilyPolicy: &families,
			Ports:          []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
	for _, change := range changes {
		change(service)
	}
	made, err := w.Plane.Admin.CoreV1().Services(service.Namespace).Create(w.tb.Context(), service, metav1.CreateOptions{})
	w.Must(err)
	return made
}

// Get returns a Service of the test's namespace.
func (w *World) Get(name string) *corev1.Service {
	w.tb.Helper()
	service, err := w.Plane.Admin.CoreV1().Services(w.Namespace).Get(w.tb.Context(), name, metav1.GetOptions{})
	w.Must(err)
	return service
}

// UpdateService changes a Service of the test's namespace.
func (w *World) UpdateService(name string, change func(*corev1.Service)) *corev1.Service {
	w.tb.Helper()
	client := w.Plane.Admin.CoreV1().Services(w.Namespace)
	var updated *corev1.Service
	w.Must(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		service, err := client.Get(w.tb.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(service)
		updated, err = client.Update(w.tb.Context(), service, metav1.UpdateOptions{})
		return err
	}))
	return updated
}

// DeleteService deletes a Service of the test's namespace.
func (w *World) DeleteService(name string) {
	w.tb.Helper()
	w.Must(w.Plane.Admin.CoreV1().Services(w.Namespace).Delete(w.tb.Context(), name, metav1.DeleteOptions{}))
}

// Ingress gives a Service of type LoadBalancer its address.
func (w *World) Ingress(name, ip string) {
	w.tb.Helper()
	w.Must(w.Plane.SetIngress(w.tb.Context(), w.Namespace, name, corev1.LoadBalancerIngress{IP: ip}))
}

// Slice creates an EndpointSlice of IPv4 for a Service of the test's namespace, for its port http, as somebody does who may write
// them: the EndpointSlice controller leaves it alone. Its endpoints are ready.
func (w *World) Slice(service string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	w.tb.Helper()
	for i := range endpoints {
		endpoints[i].Conditions = discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)}
	}
	made, err := w.Plane.Admin.DiscoveryV1().EndpointSlices(w.Namespace).Create(w.tb.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{GenerateName: service + "-", Labels: map[string]string{
			discoveryv1.LabelServiceName: service, discoveryv1.LabelManagedBy: "somebody",
		}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   endpoints,
		Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8080))}},
	}, metav1.CreateOptions{})
	w.Must(err)
	return made
}

// Group runs Pods with the label app=name and the container port http, 8080, in turn on the nodes, or on all nodes.
func (w *World) Group(name string, count int, nodes ...string) *kubelet.Group {
	w.tb.Helper()
	if len(nodes) == 0 {
		nodes = []string{w.Node, w.Peer, w.Linux}
	}
	group := &kubelet.Group{
		Kubelet: w.Kubelet,
		Nodes:   nodes,
		Template: kubelet.Pod{
			Namespace: w.Namespace, Name: name, Labels: map[string]string{"app": name},
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
		},
	}
	w.Must(group.Scale(w.tb.Context(), count))
	return group
}

// Pod runs one Pod that serves nobody: a client.
func (w *World) Pod(name, node string) *corev1.Pod {
	w.tb.Helper()
	pod, err := w.Kubelet.RunPod(w.tb.Context(), kubelet.Pod{Namespace: w.Namespace, Name: name, Node: node})
	w.Must(err)
	return pod
}

// Serving returns address and target port of all Pods that a Service selects, from its EndpointSlices of IPv4.
func (w *World) Serving(name string) []string {
	w.tb.Helper()
	now, err := read(w.tb.Context(), w.Plane.Admin)
	w.Must(err)
	var out []string
	for _, slice := range now.slicesOf(w.Get(name), corev1.IPv4Protocol) {
		for _, e := range slice.Endpoints {
			out = append(out, net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(*slice.Ports[0].Port))))
		}
	}
	return out
}
