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
		want   []HealthCheckPort
	}{
		{"no port", 0, both, v4(at("10.244.1.5", "this", "ready")), nil},
		{"no slices", 32000, both[:1], nil, []HealthCheckPort{{hnslb.IPv4, 32000, 0}}},
		{"local only", 32000, both[:1], v4(at("10.244.1.5", "this", "ready"), at("10.244.2.5", "other", "ready"), at("10.244.3.5", "", "ready")),
			[]HealthCheckPort{{hnslb.IPv4, 32000, 1}}},
		{"ready only", 32000, both[:1], v4(at("10.244.1.5", "this", "draining"), at("10.244.1.6", "this", "down"), at("10.244.1.7", "this", "ready")),
			[]HealthCheckPort{{hnslb.IPv4, 32000, 1}}},
		{"addresses, not ports", 32000, both[:1], []*services.Slice{
			slice(hnslb.IPv4, 2, at("10.244.1.5", "this", "ready")),
			slice(hnslb.IPv4, 1, at("10.244.1.5", "this", "ready"), at("10.244.1.6", "this", "ready")),
		}, []HealthCheckPort{{hnslb.IPv4, 32000, 2}}},
		{"a slice without ports serves nothing", 32000, both[:1], []*services.Slice{slice(hnslb.IPv4, 0, at("10.244.1.5", "this", "ready"))},
			[]HealthCheckPort{{hnslb.IPv4, 32000, 0}}},
		{"the better state of one address", 32000, both[:1], v4(at("10.244.1.5", "this", "draining"), at("10.244.1.5", "this", "ready")),
			[]HealthCheckPort{{hnslb.IPv4, 32000, 1}}},
		{"each family for itself", 32000, both, append(v4(at("10.244.1.5", "this", "ready")),
			slice(hnslb.IPv6, 1, at("fd00:1::5", "other", "ready"))),
			[]HealthCheckPort{{hnslb.IPv4, 32000, 1}, {hnslb.IPv6, 32000, 0}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			svc := &services.Service{HealthCheckNodePort: tc.port, Families: tc.family}
			if diff := cmp.Diff(tc.want, HealthCheckPorts(services.Input{Service: svc, Slices: tc.slices}, "this")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := HealthCheckPorts(services.Input{Slices: v4()}, "this"); got != nil {
		t.Errorf("a deleted Service has %v", got)
	}
	nobody := services.Input{Service: &services.Service{HealthCheckNodePort: 1, Families: both[:1]}, Slices: v4(at("10.244.1.5", "", "ready"))}
	if got := HealthCheckPorts(nobody, ""); got[0].LocalEndpoints != 0 {
		t.Errorf("a node without name has local endpoints: %v", got)
	}
}

// TestForwardedHealthChecks holds what leads from ingress IPs to the health-check node port.
func TestForwardedHealthChecks(t *testing.T) {
	version := hnslb.Version{Major: 13, Minor: 2}
	dual := l2bridge()
	root := hnslb.Endpoint{Network: "n", Name: "cbr0", IPs: addrs("10.244.1.2", "fd00:1::2")}
	local := func(s *services.Service) {
		s.ExternalLocal, s.HealthCheckNodePort = true, 32000
		s.ClusterIPs, s.ExternalIPs, s.Ports[0].NodePort = nil, nil, 0
	}
	and := func(change func(*services.Service)) func(*services.Service) {
		return func(s *services.Service) { local(s); change(s) }
	}
	const web = "ingressip 203.0.113.2:80/TCP -> 8080 [10.244.1.5] lb 1 mapping 16 distribution 0\n"
	for _, tc := range []struct {
		name      string
		network   hnslb.Network
		options   Options
		endpoints []hnslb.Endpoint
		change    func(*services.Service)
		want      string
	}{
		{"forwarded", dual, Options{RootEndpoint: "cbr0"}, []hnslb.Endpoint{root}, local,
			web + "healthcheck 203.0.113.2:32000/TCP -> 32000 [10.244.1.2] lb 0 mapping 0 distribution 0\n"},
		{"not asked for", dual, Options{}, []hnslb.Endpoint{root}, local, web},
		{"no health-check node port", dual, Options{RootEndpoint: "cbr0"}, []hnslb.Endpoint{root}, and(func(s *services.Service) { s.HealthCheckNodePort = 0 }), web},
		{"no health-check node port, so to /healthz", dual, Options{RootEndpoint: "cbr0", HealthzPort: 10256}, []hnslb.Endpoint{root},
			and(func(s *services.Service) { s.HealthCheckNodePort = 0 }),
			web + "healthcheck 203.0.113.2:10256/TCP -> 10256 [10.244.1.2] lb 0 mapping 0 distribution 0\n"},
		{"its own port outranks /healthz", dual, Options{RootEndpoint: "cbr0", HealthzPort: 10256}, []hnslb.Endpoint{root}, local,
			web + "healthcheck 203.0.113.2:32000/TCP -> 32000 [10.244.1.2] lb 0 mapping 0 distribution 0\n"},
		{"preserve-destination", dual, Options{RootEndpoint: "cbr0"}, []hnslb.Endpoint{root}, and(func(s *services.Service) { s.PreserveDestination = true }),
			"ingressip 203.0.113.2:80/TCP -> 8080 [10.244.1.5] lb 1 mapping 28 distribution 0\n" +
				"healthcheck 203.0.113.2:32000/TCP -> 32000 [10.244.1.2] lb 0 mapping 12 distribution 0\n"},
		{"session affinity is not for probes", dual, Options{RootEndpoint: "cbr0"}, []hnslb.Endpoint{root}, and(func(s *services.Service) { s.ClientIPAffinity = true }),
			"ingressip 203.0.113.2:80/TCP -> 8080 [10.244.1.5] lb 1 mapping 16 distribution 2\n" +
				"healthcheck 203.0.113.2:32000/TCP -> 32000 [10.244.1.2] lb 0 mapping 0 distribution 0\n"},
		{"several ports and addresses", dual, Options{RootEndpoint: "cbr0"}, []hnslb.Endpoint{root}, and(func(s *services.Service) {
			s.Families, s.Ports = []hnslb.Family{hnslb.IPv4, hnslb.IPv6}, nil
			s.IngressIPs = addrs("203.0.113.2", "203.0.113.3", "2001:db8::2")
		}), "healthcheck 203.0.113.2:32000/TCP -> 32000 [10.244.1.2] lb 0 mapping 0 distribution 0\n" +
			"healthcheck 203.0.113.3:32000/TCP -> 32000 [10.244.1.2] lb 0 mapping 0 distribution 0\n" +
			"healthcheck [2001:db8::2]:32000/TCP -> 32000 [fd00:1::2] lb 2 mapping 0 distribution 0\n"},
		{"the Service's own port comes first", dual, Options{RootEndpoint: "cbr0"}, []hnslb.Endpoint{root}, and(func(s *services.Service) { s.Ports[0].Port = 32000 }),
			"ingressip 203.0.113.2:32000/TCP -> 8080 [10.244.1.5] lb 1 mapping 16 distribution 0\n"},
		{"no endpoint of the node", dual, Options{RootEndpoint: "cbr0"}, nil, local,
			web + "healthcheck 203.0.113.2:32000/TCP -> 0 [] lb 0 mapping 0 distribution 0 blocked RootEndpointMissing\n"},
		{"another's endpoints are none", dual, Options{RootEndpoint: "cbr0"}, []hnslb.Endpoint{
			{Network: "n", Name: "cbr1", IPs: root.IPs}, {Network: "m", Name: "cbr0", IPs: root.IPs}, {Network: "n", Name: "cbr0", IPs: root.IPs, Remote: true},
		}, local, web + "healthcheck 203.0.113.2:32000/TCP -> 0 [] lb 0 mapping 0 distribution 0 blocked RootEndpointMissing\n"},
		{"overlay", overlay(), Options{RootEndpoint: "cbr0", SourceVIP: netip.MustParseAddr("10.244.1.9")}, []hnslb.Endpoint{root}, and(func(s *services.Service) { s.Ports = nil }),
			"healthcheck 203.0.113.2:32000/TCP -> 32000 [10.244.1.2] lb 0 mapping 0 distribution 0 source 10.244.1.9\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env := envOf(tc.network, version, tc.options)
			env = env.WithRoot(FindRoot(tc.endpoints, tc.network.ID, tc.options.RootEndpoint))
			if diff := cmp.Diff(tc.want, text(Compute(everyFace(tc.change), env))); diff != "" {
				t.Errorf("frontends (-want +got):\n%s", diff)
			}
		})
	}
	env := envOf(dual, version, Options{RootEndpoint: "cbr0"})
	if got := text(Compute(everyFace(local), env)); got != web {
		t.Errorf("before anybody looked for the endpoint:\n%s", got)
	}
	if found := env.WithRoot(FindRoot([]hnslb.Endpoint{root}, "n", "cbr0")); found.Same(env) || !found.Same(found.WithRoot(found.root)) {
		t.Error("the endpoint does not count for what frontends depend on")
	}
}
