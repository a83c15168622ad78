// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	fenceName    = "fence"
	fenceBackend = "192.0.2.99" // RFC 5737: nobody else's
)

// Fence waits until hnsproxy has acted on every change of a Service or EndpointSlice that was made before, also on one that
// makes no difference: it makes a Service and a slice of its own, which come after those changes in the watches, waits until
// HNS holds them, and takes them away again.
func (w *World) Fence() {
	w.tb.Helper()
	service := w.Service(fenceName, func(s *corev1.Service) { s.Spec.Selector = nil })
	_, err := w.Plane.Admin.DiscoveryV1().EndpointSlices(w.Namespace).Create(w.tb.Context(), fenceSlice(service), metav1.CreateOptions{})
	w.Must(err)
	fenced := func() bool {
		return strings.Contains(strings.Join(w.Held(), "\n"), service.Spec.ClusterIP+":80/TCP to "+fenceBackend)
	}
	w.Eventually("see all changes", fenced)
	w.DeleteService(fenceName)
	w.Must(w.Plane.Admin.DiscoveryV1().EndpointSlices(w.Namespace).Delete(w.tb.Context(), fenceName, metav1.DeleteOptions{}))
	w.Eventually("forget the fence", func() bool { return !fenced() && !strings.Contains(w.HNS.Dump(), "endpoint "+fenceBackend+" ") })
}

// fenceSlice is the slice of a fence whose target port is the port of its Service.
func fenceSlice(service *corev1.Service) *discoveryv1.EndpointSlice {
	port := service.Spec.Ports[0]
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: fenceName, Labels: map[string]string{discoveryv1.LabelServiceName: fenceName}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{fenceBackend}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}},
		Ports:       []discoveryv1.EndpointPort{{Name: &port.Name, Port: &port.Port}},
	}
}
