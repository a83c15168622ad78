// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// FuzzService: whatever an object holds, a converted Service has only addresses of one
// host and real port numbers (law 12), what was left out is said, and the store takes it.
func FuzzService(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"name":"a","namespace":"b"},"spec":{"clusterIP":"10.96.0.1","ports":[{"port":80,"nodePort":30080,"protocol":"TCP"}]}}`,
		`{"spec":{"clusterIP":"None"}}`,
		`{"spec":{"type":"ExternalName","externalName":"example.com"}}`,
		`{"spec":{"clusterIP":"fd00::1","clusterIPs":["fd00::1","10.0.0.1"],"externalIPs":["0.0.0.0","::","1.2.3.4"],"ports":[{"port":-1}]}}`,
		`{"spec":{"type":"LoadBalancer","clusterIP":"10.0.0.1","ports":[{"port":70000,"protocol":"SCTP"}]},"status":{"loadBalancer":{"ingress":[{"ip":""},{"ip":"x"},{"ip":"1.2.3.4","ipMode":"Proxy"}]}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var obj corev1.Service
		if json.Unmarshal(data, &obj) != nil {
			return
		}
		svc, errs := convertService(&obj)
		store := NewStore("this", time.Time{})
		if changed, err := store.SetService(&obj); changed != (svc != nil) || (err == nil) != (len(errs) == 0) {
			t.Fatalf("store says changed %v, %v; conversion says %v, %v", changed, err, svc != nil, errs)
		}
		if svc == nil {
			return
		}
		for _, ips := range [][]netip.Addr{svc.ClusterIPs, svc.ExternalIPs, svc.IngressIPs} {
			for _, ip := range ips {
				if !ip.IsValid() || ip.Zone() != "" {
					t.Fatalf("address %v got through", ip)
				}
			}
		}
		for _, p := range svc.Ports {
			if p.Port == 0 || p.Protocol == 0 {
				t.Fatalf("port %+v got through", p)
			}
		}
		if n := len(obj.Spec.Ports); len(svc.Ports) < n && len(errs) == 0 {
			t.Fatalf("%d of %d ports left, and nothing said", len(svc.Ports), n)
		}
	})
}

// FuzzSlice: whatever an object holds, a converted slice has only addresses of its family
// and real port numbers, and setting it twice changes nothing.
func FuzzSlice(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"name":"a","labels":{"kubernetes.io/service-name":"s"}},"addressType":"IPv4","ports":[{"port":80}],"endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true}}]}`,
		`{"metadata":{"labels":{"kubernetes.io/service-name":"s"}},"addressType":"IPv6","endpoints":[{"addresses":["10.0.0.1"]},{"addresses":["fd00::1"],"nodeName":"n"},{}]}`,
		`{"metadata":{"labels":{"kubernetes.io/service-name":"s"}},"addressType":"FQDN","endpoints":[{"addresses":["example.com"]}]}`,
		`{"metadata":{"labels":{"kubernetes.io/service-name":"s"}},"addressType":"IPv4","ports":[{"port":0},{"port":99999},{}],"endpoints":[{"addresses":["0.0.0.0"],"hints":{"forZones":[{"name":"z"}]}}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var obj discoveryv1.EndpointSlice
		if json.Unmarshal(data, &obj) != nil {
			return
		}
		slice, errs := convertSlice(&obj, "n")
		store := NewStore("n", time.Time{})
		if changed, err := store.SetSlice(nil, &obj); changed != (slice != nil) || (err == nil) != (len(errs) == 0) {
			t.Fatalf("store says changed %v, %v; conversion says %v, %v", changed, err, slice != nil, errs)
		}
		if changed, _ := store.SetSlice(&obj, &obj); changed {
			t.Fatal("the same slice again counts as a change")
		}
		if slice == nil {
			return
		}
		for _, e := range slice.Endpoints {
			if !e.IP.IsValid() || e.IP.Zone() != "" || e.IP.Is4() != (obj.AddressType == discoveryv1.AddressTypeIPv4) {
				t.Fatalf("address %v of a slice of %s got through", e.IP, obj.AddressType)
			}
		}
		for _, p := range slice.Ports {
			if p.Port == 0 || p.Protocol == 0 {
				t.Fatalf("port %+v got through", p)
			}
		}
		store.DeleteSlice(&obj)
		if len(store.entries) != 0 {
			t.Fatal("a deleted slice left something behind")
		}
	})
}
