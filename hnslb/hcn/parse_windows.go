// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/Microsoft/hcsshim"
	"github.com/Microsoft/hcsshim/hcn"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// parseEndpoint reads the V2 form of an endpoint. Addresses that HNS has not assigned yet
// are left out.
func parseEndpoint(doc hcn.HostComputeEndpoint) hnslb.Endpoint {
	e := hnslb.Endpoint{
		ID:      hnslb.NewID(doc.Id),
		Network: hnslb.NewID(doc.HostComputeNetwork),
		Name:    doc.Name,
		MAC:     dashed(doc.MacAddress),
		Remote:  doc.Flags&hcn.EndpointFlagsRemoteEndpoint != 0,
	}
	for _, c := range doc.IpConfigurations {
		e.IPs = append(e.IPs, addrsOf(parseAddr(c.IpAddress))...)
	}
	// Plugins put the node's own address on local endpoints, where it means nothing here.
	if !e.Remote {
		return e
	}
	for _, p := range doc.Policies {
		var settings hcn.ProviderAddressEndpointPolicySetting
		if p.Type == hcn.NetworkProviderAddress && json.Unmarshal(p.Settings, &settings) == nil {
			e.ProviderAddress = parseAddr(settings.ProviderAddress)
		}
	}
	return e
}

// dashed returns a MAC as package hnslb has it. kube-proxy.exe writes the host's MAC with
// colons; whether HNS gives it back so is not known.
func dashed(mac string) string { return strings.ReplaceAll(mac, ":", "-") }

// parseV1Endpoint reads the V1 form of an endpoint.
func parseV1Endpoint(doc hcsshim.HNSEndpoint) hnslb.Endpoint {
	e := hnslb.Endpoint{
		ID:      hnslb.NewID(doc.Id),
		Network: hnslb.NewID(doc.VirtualNetwork),
		Name:    doc.Name,
		IPs:     addrsOf(addrOf(doc.IPAddress), addrOf(doc.IPv6Address)),
		MAC:     dashed(doc.MacAddress),
		Remote:  doc.IsRemoteEndpoint,
	}
	if e.Remote {
		e.ProviderAddress = v1ProviderAddress(doc.Policies)
	}
	return e
}

// parseLoadBalancer reads the V2 form of a load balancer. One with a VIP that does not
// parse, or a number that no schema has, comes out without VIPs and without mappings, as
// half-made: it has no frontend, so nobody takes it for a node port.
func parseLoadBalancer(doc hcn.HostComputeLoadBalancer) hnslb.LoadBalancer {
	lb := hnslb.LoadBalancer{
		ID:        hnslb.NewID(doc.Id),
		SourceVIP: parseAddr(doc.SourceVIP),
		Flags:     hnslb.LoadBalancerFlags(doc.Flags),
	}
	for _, id := range doc.HostComputeEndpoints {
		lb.Endpoints = append(lb.Endpoints, hnslb.NewID(id))
	}
	vips, ok := parseVIPs(doc.FrontendVIPs)
	if !ok || slices.ContainsFunc(doc.PortMappings, outOfSchema) {
		return lb
	}
	lb.VIPs = vips
	for _, m := range doc.PortMappings {
		lb.Mappings = append(lb.Mappings, hnslb.PortMapping{
			Protocol:     hnslb.Protocol(m.Protocol),
			InternalPort: m.InternalPort,
			ExternalPort: m.ExternalPort,
			Distribution: hnslb.Distribution(m.DistributionType),
			Flags:        hnslb.MappingFlags(m.Flags),
		})
	}
	return lb
}

// outOfSchema tells whether a number would not survive in our narrower types.
func outOfSchema(m hcn.LoadBalancerPortMapping) bool {
	return m.Protocol > math.MaxUint8 || m.DistributionType > math.MaxUint8
}

// parseNetwork reads the V2 form of a network. HostMAC is not in it.
func parseNetwork(doc hcn.HostComputeNetwork) hnslb.Network {
	n := hnslb.Network{ID: hnslb.NewID(doc.Id), Name: doc.Name, Type: string(doc.Type)}
	for _, ipam := range doc.Ipams {
		for _, s := range ipam.Subnets {
			if p, err := netip.ParsePrefix(s.IpAddressPrefix); err == nil {
				n.Subnets = append(n.Subnets, p.Masked())
			}
		}
	}
	for _, p := range doc.Policies {
		switch p.Type {
		case hcn.ProviderAddress:
			var settings hcn.ProviderAddressNetworkPolicySetting
			if json.Unmarshal(p.Settings, &settings) == nil {
				n.ManagementIP = parseManagementIP(settings.ProviderAddress)
			}
		case hcn.RemoteSubnetRoute:
			if r, ok := parseRemoteSubnet(p.Settings); ok {
				n.Remotes = append(n.Remotes, r)
			}
		}
	}
	return n
}

// parseRemoteSubnet reads a RemoteSubnetRoute policy, false when it cannot be used.
func parseRemoteSubnet(settings json.RawMessage) (hnslb.RemoteSubnet, bool) {
	var r hcn.RemoteSubnetRoutePolicySetting
	if json.Unmarshal(settings, &r) != nil {
		return hnslb.RemoteSubnet{}, false
	}
	prefix, err := netip.ParsePrefix(r.DestinationPrefix)
	provider := parseAddr(r.ProviderAddress)
	if err != nil || !provider.IsValid() {
		return hnslb.RemoteSubnet{}, false
	}
	return hnslb.RemoteSubnet{Prefix: prefix.Masked(), ProviderAddress: provider}, true
}

// parseManagementIP reads a management address. HNS shows an empty or a link-local IPv4
// one while it has none (docs/hns.md, Overlay).
func parseManagementIP(text string) netip.Addr {
	a := parseAddr(text)
	if a.Is4() && a.IsLinkLocalUnicast() {
		return netip.Addr{}
	}
	return a
}
