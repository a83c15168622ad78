// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// TestHealthChecks holds what counts as a local endpoint: what counts in kube-proxy 1.36.
func TestHealthChecks(t *testing.T) {
	at := func(ip, node string, conditions string) services.Endpoint {
		return services.Endpoint{IP: netip.MustParseAddr(ip), Node: node, Ready: conditions == "ready",
			Serving: conditions != "down", Terminating: conditions == "draining"}
	}
	slice := func(f hnslb.Family, ports int, eps ...services.Endpoint) *services.Slice {
		return &services.Slice{Family: f, Ports: make([]services.SlicePort, ports), Endpoints: eps}
	}
	v4 := func(eps ...services.Endpoint) []*services.Slice {
		return []*services.Slice{slice(hnslb.IPv4, 1, eps...)}
	}
	both := []hnslb.Family{hnslb.IPv4, hnslb.IPv6}
	for _, tc := range []struct {
		name   string
		port   uint16
		family []hnslb.Family
		slices []*services.Slice
		want   []HealthCheck
	}{
		{"no port", 0, both, v4(at("10.244.1.5", "this", "ready")), nil},
		{"no slices", 32000, both[:1], nil, []HealthCheck{{hnslb.IPv4, 32000, 0}}},
		{"local only", 32000, both[:1], v4(at("10.244.1.5", "this", "ready"), at("10.244.2.5", "other", "ready"), at("10.244.3.5", "", "ready")),
			[]HealthCheck{{hnslb.IPv4, 32000, 1}}},
		{"ready only", 32000, both[:1], v4(at("10.244.1.5", "this", "draining"), at("10.244.1.6", "this", "down"), at("10.244.1.7", "this", "ready")),
			[]HealthCheck{{hnslb.IPv4, 32000, 1}}},
		{"addresses, not ports", 32000, both[:1], []*services.Slice{
			slice(hnslb.IPv4, 2, at("10.244.1.5", "this", "ready")),
			slice(hnslb.IPv4, 1, at("10.244.1.5", "this", "ready"), at("10.244.1.6", "this", "ready")),
		}, []HealthCheck{{hnslb.IPv4, 32000, 2}}},
		{"a slice without ports serves nothing", 32000, both[:1], []*services.Slice{slice(hnslb.IPv4, 0, at("10.244.1.5", "this", "ready"))},
			[]HealthCheck{{hnslb.IPv4, 32000, 0}}},
		{"the better state of one address", 32000, both[:1], v4(at("10.244.1.5", "this", "draining"), at("10.244.1.5", "this", "ready")),
			[]HealthCheck{{hnslb.IPv4, 32000, 1}}},
		{"each family for itself", 32000, both, append(v4(at("10.244.1.5", "this", "ready")),
			slice(hnslb.IPv6, 1, at("fd00:1::5", "other", "ready"))),
			[]HealthCheck{{hnslb.IPv4, 32000, 1}, {hnslb.IPv6, 32000, 0}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			svc := &services.Service{HealthCheckNodePort: tc.port, Families: tc.family}
			if diff := cmp.Diff(tc.want, HealthChecks(services.Input{Service: svc, Slices: tc.slices}, "this")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := HealthChecks(services.Input{Slices: v4()}, "this"); got != nil {
		t.Errorf("a deleted Service has %v", got)
	}
	nobody := services.Input{Service: &services.Service{HealthCheckNodePort: 1, Families: both[:1]}, Slices: v4(at("10.244.1.5", "", "ready"))}
	if got := HealthChecks(nobody, ""); got[0].LocalEndpoints != 0 {
		t.Errorf("a node without name has local endpoints: %v", got)
	}
}
