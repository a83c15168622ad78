// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package services_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// TestSourceRanges: which families' ingress IPs are restricted.
func TestSourceRanges(t *testing.T) {
	for _, tc := range []struct {
		name    string
		ranges  []string
		want    []hnslb.Family
		invalid bool
	}{
		{"none", nil, nil, false},
		{"one", []string{"192.0.2.0/24"}, []hnslb.Family{hnslb.IPv4}, false},
		{"spaces, as old API servers let pass", []string{" 192.0.2.0/24 "}, []hnslb.Family{hnslb.IPv4}, false},
		{"both families", []string{"2001:db8::/32", "192.0.2.0/24"}, []hnslb.Family{hnslb.IPv6, hnslb.IPv4}, false},
		{"everybody", []string{"192.0.2.0/24", "0.0.0.0/0"}, []hnslb.Family{}, false},
		{"everybody of one family", []string{"2001:db8::/32", "0.0.0.0/0"}, []hnslb.Family{hnslb.IPv6}, false},
		{"unreadable: rather too strict", []string{"everybody"}, []hnslb.Family{hnslb.IPv4, hnslb.IPv6}, true},
		{"leading zeros, in two ways: rather too strict", []string{"010.0.0.0/8"}, []hnslb.Family{hnslb.IPv4, hnslb.IPv6}, true},
		{"leading zeros do not mean everybody", []string{"00.0.0.0/0"}, []hnslb.Family{hnslb.IPv4, hnslb.IPv6}, true},
		{"IPv4 as IPv6 does not leave IPv4 open", []string{"::ffff:192.0.2.0/120"}, []hnslb.Family{hnslb.IPv4, hnslb.IPv6}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			object := balanced(func(s *corev1.ServiceSpec) { s.LoadBalancerSourceRanges = tc.ranges })
			object.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.80"}}
			svc, err := services.ReadService(object)
			if diff := cmp.Diff(tc.want, svc.Restricted); diff != "" || (err != nil) != tc.invalid {
				t.Errorf("restricted (-want +got):\n%s\nerror %v", diff, err)
			}
		})
	}
}

// TestAffinityTimeout: the default, which every Service gets, counts as none.
func TestAffinityTimeout(t *testing.T) {
	for _, tc := range []struct {
		name     string
		affinity corev1.ServiceAffinity
		seconds  *int32
		want     int32
	}{
		{"no affinity", corev1.ServiceAffinityNone, ptr.To[int32](60), 0},
		{"no word of it", corev1.ServiceAffinityClientIP, nil, 0},
		{"default", corev1.ServiceAffinityClientIP, ptr.To[int32](10800), 0},
		{"a minute", corev1.ServiceAffinityClientIP, ptr.To[int32](60), 60},
	} {
		t.Run(tc.name, func(t *testing.T) {
			svc, err := services.ReadService(balanced(func(s *corev1.ServiceSpec) {
				s.SessionAffinity = tc.affinity
				s.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: tc.seconds}}
			}))
			if err != nil || svc.AffinityTimeout != tc.want {
				t.Errorf("%d seconds, error %v; want %d", svc.AffinityTimeout, err, tc.want)
			}
		})
	}
}
