// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package services_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func balanced(change func(*corev1.ServiceSpec)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "10.96.0.5",
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, HealthCheckNodePort: 32000,
		},
	}
	change(&s.Spec)
	return s
}

// TestHealthCheckNodePort: only a load balancer that wants local endpoints asks for them.
// The API server keeps the number for a moment longer than it counts.
func TestHealthCheckNodePort(t *testing.T) {
	for _, tc := range []struct {
		name    string
		change  func(*corev1.ServiceSpec)
		want    uint16
		invalid bool
	}{
		{"LoadBalancer, policy Local", func(*corev1.ServiceSpec) {}, 32000, false},
		{"not allocated", func(s *corev1.ServiceSpec) { s.HealthCheckNodePort = 0 }, 0, false},
		{"policy Cluster", func(s *corev1.ServiceSpec) { s.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster }, 0, false},
		{"NodePort", func(s *corev1.ServiceSpec) { s.Type = corev1.ServiceTypeNodePort }, 0, false},
		{"no port number", func(s *corev1.ServiceSpec) { s.HealthCheckNodePort = 70000 }, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			svc, err := services.ReadService(balanced(tc.change))
			if svc.HealthCheckNodePort != tc.want || (err != nil) != tc.invalid {
				t.Errorf("port %d, error %v; want %d, an error: %v", svc.HealthCheckNodePort, err, tc.want, tc.invalid)
			}
		})
	}
}

// TestFollow: a follower hears of each change at once, before anybody takes it, and of
// nothing that changes nothing.
func TestFollow(t *testing.T) {
	store := services.NewStore("n1", time.Time{})
	var heard []string
	store.Follow(func(in services.Input) {
		port := uint16(0)
		if in.Service != nil {
			port = in.Service.HealthCheckNodePort
		}
		heard = append(heard, fmt.Sprintf("%s port %d slices %d", in.Name, port, len(in.Slices)))
	})
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	must := func(_ bool, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	same := balanced(func(*corev1.ServiceSpec) {})
	must(store.SetService(same))
	must(store.SetSlice(nil, slice))
	must(store.SetService(same))
	must(store.SetService(balanced(func(s *corev1.ServiceSpec) { s.HealthCheckNodePort = 32001 })))
	store.DeleteSlice(slice)
	store.DeleteService(services.Name{Namespace: "default", Name: "web"})
	want := []string{
		"default/web port 32000 slices 0",
		"default/web port 32000 slices 1",
		"default/web port 32001 slices 1",
		"default/web port 32001 slices 0",
		"default/web port 0 slices 0",
	}
	if diff := cmp.Diff(want, heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	if n := len(store.Take()); n != 1 {
		t.Errorf("%d Services to compute, want 1", n)
	}
}
