// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// node is an emulator with one network and short ways to fill it.
type node struct {
	*emulator.Emulator
	t   *testing.T
	net hnslb.Network
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func spec(networkType string) emulator.NetworkSpec {
	return emulator.NetworkSpec{
		Name: "Calico", Type: networkType,
		ManagementIP: ip("10.0.0.5"), ManagementIPv6: ip("fd00:10::5"), HostMAC: "00-15-5D-00-00-05",
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:1::/64")},
		Remotes: []hnslb.RemoteSubnet{{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: ip("10.0.0.6")}},
	}
}

func newNode(t *testing.T, profile profiles.Profile, networkType string) *node {
	t.Helper()
	return nodeOf(t, emulator.Config{Profile: profile}, spec(networkType))
}

func nodeOf(t *testing.T, c emulator.Config, s emulator.NetworkSpec) *node {
	t.Helper()
	n := &node{Emulator: emulator.New(c), t: t}
	var err error
	if n.net, err = n.AddNetwork(s); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) local(ips ...string) hnslb.ID {
	n.t.Helper()
	ep, err := n.AddLocalEndpoint("Calico", addrs(ips)...)
	n.must(err)
	return ep.ID
}

func addrs(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, s := range texts {
		out = append(out, ip(s))
	}
	return out
}

// remoteEndpoint is a remote endpoint as hnsproxy writes it: on overlay with the provider
// address of its subnet.
func (n *node) remoteEndpoint(s string) hnslb.Endpoint {
	ep := hnslb.Endpoint{Network: n.net.ID, IPs: []netip.Addr{ip(s)}, MAC: hnslb.RemoteMAC(ip(s)), Remote: true}
	if n.net.IsOverlay() {
		ep.ProviderAddress = ip("10.0.0.6")
	}
	return ep
}

func (n *node) remote(s string) hnslb.ID {
	n.t.Helper()
	ep, err := n.CreateEndpoint(n.t.Context(), n.remoteEndpoint(s))
	n.must(err)
	return ep.ID
}

// option changes a load balancer before it is made.
type option func(*hnslb.LoadBalancer)

func dsr(lb *hnslb.LoadBalancer)      { lb.Flags |= hnslb.DSR }
func ipv6(lb *hnslb.LoadBalancer)     { lb.Flags |= hnslb.IPv6Enabled }
func nodePort(lb *hnslb.LoadBalancer) { lb.VIPs = nil }
func udp(lb *hnslb.LoadBalancer)      { lb.Mappings[0].Protocol = hnslb.UDP }

func source(s string) option { return func(lb *hnslb.LoadBalancer) { lb.SourceVIP = ip(s) } }
func vips(s ...string) option {
	return func(lb *hnslb.LoadBalancer) { lb.VIPs = addrs(s) }
}
func external(port uint16) option {
	return func(lb *hnslb.LoadBalancer) { lb.Mappings[0].ExternalPort = port }
}
func internal(port uint16) option {
	return func(lb *hnslb.LoadBalancer) { lb.Mappings[0].InternalPort = port }
}
func mapped(flags hnslb.MappingFlags) option {
	return func(lb *hnslb.LoadBalancer) { lb.Mappings[0].Flags |= flags }
}
func distributed(d hnslb.Distribution) option {
	return func(lb *hnslb.LoadBalancer) { lb.Mappings[0].Distribution = d }
}

// balancerOf is a load balancer on 10.96.0.10:80/TCP to port 8080, changed by options.
func balancerOf(endpoints []hnslb.ID, opts ...option) hnslb.LoadBalancer {
	lb := hnslb.LoadBalancer{
		Endpoints: endpoints,
		VIPs:      []netip.Addr{ip("10.96.0.10")},
		Mappings:  []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 8080, ExternalPort: 80}},
	}
	for _, o := range opts {
		o(&lb)
	}
	return lb
}

func (n *node) balance(endpoints []hnslb.ID, opts ...option) hnslb.LoadBalancer {
	n.t.Helper()
	lb, err := n.CreateLoadBalancer(n.t.Context(), balancerOf(endpoints, opts...))
	n.must(err)
	return lb
}

// wantCode says that err carries the HRESULT, or that there is none for code 0.
func wantCode(t *testing.T, err error, code hnslb.HRESULT) {
	t.Helper()
	var e *hnslb.Error
	switch {
	case code == 0 && err != nil:
		t.Errorf("error %v, want none", err)
	case code == 0:
	case !errors.As(err, &e) || e.Code != code:
		t.Errorf("error %v, want code 0x%08x", err, uint32(code))
	case !strings.HasPrefix(e.Err.Error(), strings.TrimSuffix(emulator.ErrorText(code, ""), " ")):
		t.Errorf("text %q, want HNS's %q", e.Err, emulator.ErrorText(code, ""))
	}
}

// wantDump says that the dump has exactly these lines.
func (n *node) wantDump(lines ...string) {
	n.t.Helper()
	want := ""
	for _, l := range lines {
		want += l + "\n"
	}
	if got := n.Dump(); got != want {
		n.t.Errorf("dump is\n%swant\n%s", got, want)
	}
}
