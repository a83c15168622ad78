// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// everyFace is a Service with each kind of frontend, one local and one remote endpoint; if it
// is named away, the remote one only.
func everyFace(change func(*services.Service)) services.Input {
	svc := &services.Service{
		Name:        services.Name{Namespace: "default", Name: "web"},
		ClusterIPs:  addrs("10.96.0.5"),
		ExternalIPs: addrs("203.0.113.1"),
		IngressIPs:  addrs("203.0.113.2"),
		Families:    []hnslb.Family{hnslb.IPv4},
		Ports:       []services.Port{{Protocol: hnslb.TCP, Port: 80, NodePort: 30080}},
	}
	change(svc)
	endpoints := []services.Endpoint{
		{IP: netip.MustParseAddr("10.244.1.5"), Node: "this", Ready: true, Serving: true},
		{IP: netip.MustParseAddr("10.244.2.7"), Node: "other", Ready: true, Serving: true},
	}
	if svc.Name.Name == "away" {
		endpoints = endpoints[1:]
	}
	return services.Input{Name: svc.Name, Service: svc, Slices: []*services.Slice{{
		Name: "web-1", Service: svc.Name, Family: hnslb.IPv4,
		Ports:     []services.SlicePort{{Protocol: hnslb.TCP, Port: 8080}},
		Endpoints: endpoints,
	}}}
}

func nodePorts(ranges ...string) NodePortAddresses {
	a, err := ParseNodePortAddresses(ranges)
	if err != nil {
		panic(err)
	}
	return a
}

// l2bridge and overlay are the networks of a node with address 10.0.0.4.
func l2bridge() hnslb.Network {
	return hnslb.Network{ID: "n", Type: "L2Bridge", ManagementIP: netip.MustParseAddr("10.0.0.4")}
}

func overlay() hnslb.Network {
	return hnslb.Network{ID: "n", Type: "overlay", ManagementIP: netip.MustParseAddr("10.0.0.4"), HostMAC: "00-15-5D-00-00-04",
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")},
		Remotes: []hnslb.RemoteSubnet{
			{Prefix: netip.MustParsePrefix("10.244.0.0/16"), ProviderAddress: netip.MustParseAddr("10.0.0.9")},
			{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: netip.MustParseAddr("10.0.0.5")},
		}}
}

func envOf(n hnslb.Network, version hnslb.Version, o Options) *Env {
	return NewEnv(services.Node{Name: "this"}, n, hnslb.FeaturesOf(version), o)
}

// text prints frontends one per line, for comparison.
func text(fs []*Frontend) string {
	var b strings.Builder
	for _, f := range fs {
		hosts := []string{}
		for _, backend := range f.Backends {
			hosts = append(hosts, backend.IP.String())
		}
		fmt.Fprintf(&b, "%s %s -> %d [%s] lb %d mapping %d distribution %d", f.Kind, f.Key, f.InternalPort,
			strings.Join(hosts, " "), f.Flags, f.MappingFlags, f.Distribution)
		if f.SourceVIP.IsValid() {
			fmt.Fprintf(&b, " source %s", f.SourceVIP)
		}
		if f.VIPEndpoint {
			b.WriteString(" vip-endpoint")
		}
		if f.Blocked.Reason != "" {
			fmt.Fprintf(&b, " blocked %s", f.Blocked.Reason)
		}
		for _, l := range f.Limits {
			fmt.Fprintf(&b, " limit %s", l.Reason)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestFrontends holds the table of what each frontend becomes.
func TestFrontends(t *testing.T) {
	recent, early := hnslb.Version{Major: 13, Minor: 2}, hnslb.Version{Major: 9, Minor: 2}
	for _, tc := range []struct {
		name    string
		network hnslb.Network
		version hnslb.Version
		options Options
		change  func(*services.Service)
		want    string
	}{
		{"policy Cluster", l2bridge(), recent, Options{}, func(*services.Service) {}, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 0 distribution 0
nodeport 0.0.0.0:30080/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 18 distribution 0
externalip 203.0.113.1:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 16 distribution 0
ingressip 203.0.113.2:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 16 distribution 0
`},
		{"DSR is for cluster IPs", l2bridge(), recent, Options{DSR: true}, func(*services.Service) {}, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 1 mapping 0 distribution 0
nodeport 0.0.0.0:30080/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 18 distribution 0
externalip 203.0.113.1:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 16 distribution 0
ingressip 203.0.113.2:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 16 distribution 0
`},
		{"externalTrafficPolicy Local", l2bridge(), recent, Options{}, func(s *services.Service) { s.ExternalLocal = true }, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 0 distribution 0
nodeport 0.0.0.0:30080/TCP -> 8080 [10.244.1.5] lb 1 mapping 18 distribution 0
externalip 203.0.113.1:80/TCP -> 8080 [10.244.1.5] lb 1 mapping 16 distribution 0
ingressip 203.0.113.2:80/TCP -> 8080 [10.244.1.5] lb 1 mapping 16 distribution 0
`},
		{"internalTrafficPolicy Local", l2bridge(), recent, Options{}, func(s *services.Service) { s.InternalLocal = true; s.ExternalIPs, s.IngressIPs = nil, nil }, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5] lb 0 mapping 0 distribution 0
nodeport 0.0.0.0:30080/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 18 distribution 0
`},
		{"externalTrafficPolicy Local, none here: pods take the short cut", l2bridge(), recent, Options{}, func(s *services.Service) {
			s.Name.Name = "away"
			s.ExternalLocal = true
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.2.7] lb 0 mapping 0 distribution 0
nodeport 0.0.0.0:30080/TCP -> 0 [] lb 1 mapping 18 distribution 0 blocked NoEndpoints
externalip 203.0.113.1:80/TCP -> 8080 [10.244.2.7] lb 1 mapping 16 distribution 0
ingressip 203.0.113.2:80/TCP -> 8080 [10.244.2.7] lb 1 mapping 16 distribution 0
`},
		{"externalTrafficPolicy Local, none here, without the short cut", l2bridge(), recent, Options{NoShortCut: true}, func(s *services.Service) {
			s.Name.Name = "away"
			s.ExternalLocal = true
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.2.7] lb 0 mapping 0 distribution 0
nodeport 0.0.0.0:30080/TCP -> 0 [] lb 1 mapping 18 distribution 0 blocked NoEndpoints
externalip 203.0.113.1:80/TCP -> 0 [] lb 1 mapping 16 distribution 0 blocked NoEndpoints
ingressip 203.0.113.2:80/TCP -> 0 [] lb 1 mapping 16 distribution 0 blocked NoEndpoints
`},
		{"no short cut with preserve-destination, which is about the ingress IP", l2bridge(), recent, Options{}, func(s *services.Service) {
			s.Name.Name = "away"
			s.ExternalLocal, s.PreserveDestination = true, true
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.2.7] lb 0 mapping 0 distribution 0
nodeport 0.0.0.0:30080/TCP -> 0 [] lb 1 mapping 18 distribution 0 blocked NoEndpoints
externalip 203.0.113.1:80/TCP -> 8080 [10.244.2.7] lb 1 mapping 16 distribution 0
ingressip 203.0.113.2:80/TCP -> 0 [] lb 1 mapping 28 distribution 0 blocked NoEndpoints
`},
		{"source ranges concern the ingress IP of their family", l2bridge(), recent, Options{}, func(s *services.Service) {
			s.Restricted = []hnslb.Family{hnslb.IPv4}
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 0 distribution 0
nodeport 0.0.0.0:30080/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 18 distribution 0
externalip 203.0.113.1:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 16 distribution 0
ingressip 203.0.113.2:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 16 distribution 0 limit SourceRangesNotEnforced
`},
		{"source ranges of the other family", l2bridge(), recent, Options{SkipSourceRanges: true}, func(s *services.Service) {
			s.Restricted = []hnslb.Family{hnslb.IPv6}
			s.ExternalIPs, s.Ports[0].NodePort = nil, 0
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 0 distribution 0
ingressip 203.0.113.2:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 16 distribution 0
`},
		{"source ranges, skipped", l2bridge(), recent, Options{SkipSourceRanges: true}, func(s *services.Service) {
			s.Restricted = []hnslb.Family{hnslb.IPv4}
			s.ExternalIPs, s.Ports[0].NodePort = nil, 0
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 0 distribution 0
ingressip 203.0.113.2:80/TCP -> 8080 [] lb 0 mapping 16 distribution 0 blocked SourceRangesNotEnforced
`},
		{"node ports on addresses that HNS does not serve", l2bridge(), recent, Options{NodePortAddresses: nodePorts("192.168.0.0/16")},
			func(s *services.Service) { s.ExternalIPs, s.IngressIPs = nil, nil }, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 0 distribution 0
nodeport 0.0.0.0:30080/TCP -> 8080 [] lb 0 mapping 18 distribution 0 blocked NodePortAddressExcluded
`},
		{"affinity with a timeout", l2bridge(), recent, Options{}, func(s *services.Service) {
			s.ClientIPAffinity, s.AffinityTimeout = true, 60
			s.ExternalIPs, s.IngressIPs, s.Ports[0].NodePort = nil, nil, 0
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 0 distribution 2 limit AffinityTimeoutUnsupported
`},
		{"preserve-destination", l2bridge(), recent, Options{}, func(s *services.Service) { s.PreserveDestination = true }, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 0 distribution 0
nodeport 0.0.0.0:30080/TCP -> 8080 [10.244.1.5] lb 0 mapping 18 distribution 0
externalip 203.0.113.1:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 16 distribution 0
ingressip 203.0.113.2:80/TCP -> 8080 [10.244.1.5] lb 1 mapping 28 distribution 0
`},
		{"session affinity", l2bridge(), recent, Options{}, func(s *services.Service) { s.ClientIPAffinity = true; s.ExternalIPs, s.IngressIPs = nil, nil }, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 0 distribution 2
nodeport 0.0.0.0:30080/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 18 distribution 2
`},
		{"HNS 9.2 has neither DSR nor affinity, and hairpins through the node IP", l2bridge(), early, Options{DSR: true},
			func(s *services.Service) {
				s.ClientIPAffinity, s.ExternalLocal = true, true
				s.ExternalIPs, s.IngressIPs = nil, nil
			}, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 0 distribution 0 source 10.0.0.4 limit SessionAffinityUnsupported
nodeport 0.0.0.0:30080/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 18 distribution 0 source 10.0.0.4 limit LocalPolicyUnsupported limit SessionAffinityUnsupported
`},
		{"overlay", overlay(), recent, Options{SourceVIP: netip.MustParseAddr("10.244.1.2")}, func(s *services.Service) { s.ExternalIPs, s.IngressIPs = nil, nil }, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 0 distribution 0 source 10.244.1.2 vip-endpoint
nodeport 0.0.0.0:30080/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 18 distribution 0 source 10.244.1.2
`},
		{"overlay without source VIP", overlay(), recent, Options{}, func(s *services.Service) { s.ExternalIPs, s.IngressIPs, s.Ports[0].NodePort = nil, nil, 0 }, `
clusterip 10.96.0.5:80/TCP -> 8080 [] lb 0 mapping 0 distribution 0 vip-endpoint blocked SourceVIPMissing
`},
		{"SCTP", l2bridge(), recent, Options{}, func(s *services.Service) {
			s.Ports[0].Protocol = hnslb.SCTP
			s.ExternalIPs, s.IngressIPs, s.Ports[0].NodePort = nil, nil, 0
		}, `
clusterip 10.96.0.5:80/SCTP -> 0 [] lb 0 mapping 0 distribution 0 blocked ProtocolUnsupported
`},
		{"dual stack: no endpoints of the other family, IPv6 flag set", l2bridge(), recent, Options{}, func(s *services.Service) {
			s.ClusterIPs = addrs("10.96.0.5", "fd00::5")
			s.Families = []hnslb.Family{hnslb.IPv4, hnslb.IPv6}
			s.ExternalIPs, s.IngressIPs = nil, nil
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 0 distribution 0
nodeport 0.0.0.0:30080/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 18 distribution 0
clusterip [fd00::5]:80/TCP -> 0 [] lb 2 mapping 0 distribution 0 blocked NoEndpoints
nodeport [::]:30080/TCP -> 0 [] lb 2 mapping 18 distribution 0 blocked NoEndpoints
`},
		{"one address as external and as ingress IP is one frontend, with the limits of the ingress IP", l2bridge(), recent, Options{}, func(s *services.Service) {
			s.IngressIPs, s.Ports[0].NodePort = s.ExternalIPs, 0
			s.Restricted = []hnslb.Family{hnslb.IPv4}
		}, `
clusterip 10.96.0.5:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 0 distribution 0
ingressip 203.0.113.1:80/TCP -> 8080 [10.244.1.5 10.244.2.7] lb 0 mapping 16 distribution 0 limit SourceRangesNotEnforced
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := text(Compute(everyFace(tc.change), envOf(tc.network, tc.version, tc.options)))
			if diff := cmp.Diff(strings.TrimPrefix(tc.want, "\n"), got); diff != "" {
				t.Errorf("frontends (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSourceVIP: on an overlay a backend outside the cluster, or on another host's own
// address, can only answer the node (KEP-5100).
func TestSourceVIP(t *testing.T) {
	configured := netip.MustParseAddr("10.244.1.2")
	for _, tc := range []struct {
		name, ip, want string
		local          bool
	}{
		{"pod of another node", "10.244.2.7", "10.244.1.2", false},
		{"pod of this node", "10.244.1.7", "10.244.1.2", true},
		{"remote pod in our own subnet", "10.244.1.7", "10.244.1.2", false},
		{"outside the cluster", "192.0.2.1", "10.0.0.4", false},
		{"another node's own address", "10.0.0.5", "10.0.0.4", false},
		{"this node's own address", "10.0.0.4", "10.244.1.2", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env := envOf(overlay(), hnslb.Version{Major: 13}, Options{SourceVIP: configured})
			got := env.sourceVIP(hnslb.IPv4, []Backend{{IP: netip.MustParseAddr(tc.ip), Local: tc.local}})
			if got.String() != tc.want {
				t.Errorf("source VIP for %s is %s, want %s", tc.ip, got, tc.want)
			}
		})
	}
	node := netip.MustParseAddr("10.0.0.4")
	for _, tc := range []struct {
		name     string
		source   BridgeSource
		major    int
		want     netip.Addr
		optional bool
	}{
		{"as kube-proxy", "", 13, netip.Addr{}, false},
		{"Server 2019", "", 9, node, true},
		{"auto on Server 2019", BridgeAuto, 9, node, true},
		{"none on Server 2019", BridgeNone, 9, netip.Addr{}, false},
		{"what the operator gives", BridgeGiven, 13, configured, false},
		{"what the operator gives on Server 2019", BridgeGiven, 9, configured, false},
	} {
		t.Run("L2Bridge/"+tc.name, func(t *testing.T) {
			env := envOf(l2bridge(), hnslb.Version{Major: tc.major, Minor: 5}, Options{SourceVIP: configured, BridgeSource: tc.source})
			if got := env.sourceVIP(hnslb.IPv4, nil); got != tc.want || env.SourceVIPOptional() != tc.optional {
				t.Errorf("source VIP is %s, optional %v; want %s, %v", got, env.SourceVIPOptional(), tc.want, tc.optional)
			}
			if got := env.sourceVIP(hnslb.IPv6, nil); tc.source == BridgeGiven && got.IsValid() {
				t.Errorf("IPv6 source VIP is %s, configured is an IPv4 address", got)
			}
		})
	}
}

// TestRemoteEndpoint: the provider address is that of the longest route, of the host
// itself, else of this node.
func TestRemoteEndpoint(t *testing.T) {
	env := envOf(overlay(), hnslb.Version{Major: 13}, Options{})
	for ip, want := range map[string]string{
		"10.244.2.7": "10.0.0.5", "10.244.3.7": "10.0.0.9", "10.0.0.5": "10.0.0.5", "192.0.2.1": "10.0.0.4",
	} {
		got := env.RemoteEndpoint(netip.MustParseAddr(ip))
		if got.ProviderAddress.String() != want || !got.Remote || got.MAC != hnslb.RemoteMAC(netip.MustParseAddr(ip)) {
			t.Errorf("remote endpoint of %s is %+v, want provider address %s", ip, got, want)
		}
	}
}
