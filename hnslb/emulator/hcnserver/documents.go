// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// This file holds the V2 documents. They serve both ways, and leave out what is zero
// [A: Conventions].

type schemaVersion struct{ Major, Minor int }

// schema is what documents carry, whatever they hold [A: calico issue 7305].
func schema() schemaVersion { return schemaVersion{Major: 2} }

// zeroNamespace is where an endpoint is that no namespace has [B: antrea].
const zeroNamespace = "00000000-0000-0000-0000-000000000000"

// isolation is the VSID of every overlay; Windows has none below 4096 [A: Overlay].
const isolation = 4096

type policyDocument struct {
	Type     string          `json:",omitempty"`
	Settings json.RawMessage `json:",omitempty"`
}

// policyOf makes a policy.
func policyOf(name string, settings any) policyDocument {
	return policyDocument{Type: name, Settings: json.RawMessage(mustJSON(settings))}
}

// Policy types.
const (
	policyProviderAddress = "ProviderAddress"
	policyRemoteSubnet    = "RemoteSubnetRoute"
	policyDRMAC           = "DrMacAddress"
	policyVSID            = "VSID"
)

type providerSettings struct {
	ProviderAddress string `json:",omitempty"`
}

type remoteSubnetSettings struct {
	DestinationPrefix           string `json:",omitempty"`
	IsolationID                 uint16 `json:"IsolationId,omitempty"`
	ProviderAddress             string `json:",omitempty"`
	DistributedRouterMacAddress string `json:",omitempty"`
}

type routeDocument struct {
	NextHop           string `json:",omitempty"`
	DestinationPrefix string `json:",omitempty"`
}

type networkDocument struct {
	ID            string           `json:",omitempty"`
	Name          string           `json:",omitempty"`
	Type          string           `json:",omitempty"`
	Policies      []policyDocument `json:",omitempty"`
	Ipams         []ipamDocument   `json:",omitempty"`
	SchemaVersion schemaVersion
}

type ipamDocument struct {
	Type    string           `json:",omitempty"`
	Subnets []subnetDocument `json:",omitempty"`
}

type subnetDocument struct {
	IPAddressPrefix string           `json:"IpAddressPrefix,omitempty"`
	Policies        []policyDocument `json:",omitempty"`
	Routes          []routeDocument  `json:",omitempty"`
}

// typeNAT is left out of documents, being number 0 inside HNS [A: hnslib].
const typeNAT = "NAT"

// writeNetwork makes the document of a network. The provider address of a network shows on
// an overlay only [A there: flannel; C elsewhere: clients ask V1].
func writeNetwork(n emulator.NetworkState) networkDocument {
	doc := networkDocument{ID: string(n.ID), Name: n.Name, SchemaVersion: schema()}
	if !strings.EqualFold(n.Type, typeNAT) {
		doc.Type = n.Type
	}
	ipam := ipamDocument{Type: "Static"}
	for _, p := range n.Subnets {
		subnet := subnetDocument{
			IPAddressPrefix: p.String(),
			Routes:          []routeDocument{defaultRoute(p)},
		}
		if n.IsOverlay() {
			subnet.Policies = []policyDocument{policyOf(policyVSID, remoteSubnetSettings{IsolationID: isolation})}
		}
		ipam.Subnets = append(ipam.Subnets, subnet)
	}
	doc.Ipams = []ipamDocument{ipam}
	if !n.IsOverlay() {
		return doc
	}
	if n.ManagementIP.IsValid() {
		doc.Policies = append(doc.Policies, policyOf(policyProviderAddress, providerSettings{n.ManagementIP.String()}))
	}
	if n.HostMAC != "" {
		doc.Policies = append(doc.Policies, policyOf(policyDRMAC, struct{ Address string }{n.HostMAC}))
	}
	for _, r := range n.Remotes {
		doc.Policies = append(doc.Policies, policyOf(policyRemoteSubnet, remoteSubnetSettings{
			DestinationPrefix: r.Prefix.String(), IsolationID: isolation,
			ProviderAddress: r.ProviderAddress.String(), DistributedRouterMacAddress: routerMAC(r.ProviderAddress),
		}))
	}
	return doc
}

// gateway is the first address of a subnet, the one that HNS reserves [A: L2Bridge].
func gateway(p netip.Prefix) netip.Addr { return p.Masked().Addr().Next() }

func defaultRoute(p netip.Prefix) routeDocument {
	destination := "0.0.0.0/0"
	if p.Addr().Is6() {
		destination = "::/0"
	}
	return routeDocument{NextHop: gateway(p).String(), DestinationPrefix: destination}
}

// routerMAC makes up the distributed router of another host: the emulator keeps none.
func routerMAC(host netip.Addr) string {
	b := host.As16()
	return fmt.Sprintf("00-15-5D-%02X-%02X-%02X", b[13], b[14], b[15])
}

// readNetwork reads the document that makes a network. Without a management IP the network
// gets one later, as with HNS.
func readNetwork(doc networkDocument) (emulator.NetworkSpec, error) {
	spec := emulator.NetworkSpec{Name: doc.Name, Type: doc.Type}
	if spec.Type == "" {
		spec.Type = typeNAT
	}
	for _, ipam := range doc.Ipams {
		for _, s := range ipam.Subnets {
			p, err := netip.ParsePrefix(s.IPAddressPrefix)
			if err != nil {
				return spec, refuse(hnslb.ResultInvalidArgument, "%v", err)
			}
			spec.Subnets = append(spec.Subnets, p)
		}
	}
	for _, p := range doc.Policies {
		var err error
		switch p.Type {
		case policyProviderAddress:
			spec.ManagementIP, err = readProvider(p)
		case policyRemoteSubnet:
			var r hnslb.RemoteSubnet
			r, err = readRemoteSubnet(p)
			spec.Remotes = append(spec.Remotes, r)
		}
		if err != nil {
			return spec, err
		}
	}
	return spec, nil
}

func readProvider(p policyDocument) (netip.Addr, error) {
	var settings providerSettings
	if err := readJSON(string(p.Settings), &settings); err != nil {
		return netip.Addr{}, err
	}
	return readAddr(settings.ProviderAddress)
}

func readRemoteSubnet(p policyDocument) (hnslb.RemoteSubnet, error) {
	var settings remoteSubnetSettings
	if err := readJSON(string(p.Settings), &settings); err != nil {
		return hnslb.RemoteSubnet{}, err
	}
	prefix, err := netip.ParsePrefix(settings.DestinationPrefix)
	if err != nil {
		return hnslb.RemoteSubnet{}, refuse(hnslb.ResultInvalidArgument, "%v", err)
	}
	provider, err := readAddr(settings.ProviderAddress)
	return hnslb.RemoteSubnet{Prefix: prefix, ProviderAddress: provider}, err
}

type endpointDocument struct {
	ID                   string             `json:",omitempty"`
	Name                 string             `json:",omitempty"`
	HostComputeNetwork   string             `json:",omitempty"`
	HostComputeNamespace string             `json:",omitempty"`
	Policies             []policyDocument   `json:",omitempty"`
	IPConfigurations     []ipConfigDocument `json:"IpConfigurations,omitempty"`
	Routes               []routeDocument    `json:",omitempty"`
	MacAddress           string             `json:",omitempty"`
	Flags                uint32             `json:",omitempty"`
	SchemaVersion        schemaVersion
}

type ipConfigDocument struct {
	IPAddress    string `json:"IpAddress,omitempty"`
	PrefixLength uint8  `json:",omitempty"`
}

// flagRemoteEndpoint is the only endpoint flag that the emulator keeps.
const flagRemoteEndpoint = 1

// writeEndpoint makes the document of an endpoint on a network.
func writeEndpoint(ep hnslb.Endpoint, n hnslb.Network, q profiles.Quirks) endpointDocument {
	doc := endpointDocument{
		ID: string(ep.ID), Name: q.ShownName(ep.Name, false), HostComputeNetwork: string(ep.Network),
		HostComputeNamespace: zeroNamespace, MacAddress: ep.MAC, SchemaVersion: schema(),
	}
	if ep.Remote {
		doc.Flags = flagRemoteEndpoint
	}
	if ep.ProviderAddress.IsValid() {
		doc.Policies = []policyDocument{policyOf(policyProviderAddress, providerSettings{ep.ProviderAddress.String()})}
	}
	for _, ip := range ep.IPs {
		subnet := subnetOf(n, ip)
		doc.IPConfigurations = append(doc.IPConfigurations, ipConfigDocument{ip.String(), uint8(subnet.Bits())})
		if !ep.Remote {
			doc.Routes = append(doc.Routes, defaultRoute(subnet))
		}
	}
	return doc
}

// subnetOf returns the network's subnet that holds an address, else the address alone.
func subnetOf(n hnslb.Network, ip netip.Addr) netip.Prefix {
	for _, p := range n.Subnets {
		if p.Contains(ip) {
			return p
		}
	}
	return netip.PrefixFrom(ip, ip.BitLen())
}

// readEndpoint reads the document that makes an endpoint; the network of the handle counts.
func readEndpoint(doc endpointDocument, network hnslb.ID) (hnslb.Endpoint, error) {
	ep := hnslb.Endpoint{
		Network: network, Name: doc.Name, MAC: doc.MacAddress, Remote: doc.Flags&flagRemoteEndpoint != 0,
	}
	for _, c := range doc.IPConfigurations {
		ip, err := readAddr(c.IPAddress)
		if err != nil {
			return ep, err
		}
		ep.IPs = append(ep.IPs, ip)
	}
	for _, p := range doc.Policies {
		if p.Type != policyProviderAddress {
			continue
		}
		var err error
		if ep.ProviderAddress, err = readProvider(p); err != nil {
			return ep, err
		}
	}
	return ep, nil
}

type balancerDocument struct {
	ID                   string            `json:",omitempty"`
	HostComputeEndpoints []string          `json:",omitempty"`
	SourceVIP            string            `json:",omitempty"`
	FrontendVIPs         []string          `json:",omitempty"`
	PortMappings         []mappingDocument `json:",omitempty"`
	SchemaVersion        schemaVersion
	Flags                uint32 `json:",omitempty"`
}

type mappingDocument struct {
	Protocol         uint32 `json:",omitempty"`
	InternalPort     uint16 `json:",omitempty"`
	ExternalPort     uint16 `json:",omitempty"`
	DistributionType uint32 `json:",omitempty"`
	Flags            uint32 `json:",omitempty"`
}

func writeBalancer(lb hnslb.LoadBalancer) balancerDocument {
	doc := balancerDocument{ID: string(lb.ID), SchemaVersion: schema(), Flags: uint32(lb.Flags)}
	for _, id := range lb.Endpoints {
		doc.HostComputeEndpoints = append(doc.HostComputeEndpoints, string(id))
	}
	if lb.SourceVIP.IsValid() {
		doc.SourceVIP = lb.SourceVIP.String()
	}
	for _, vip := range lb.VIPs {
		doc.FrontendVIPs = append(doc.FrontendVIPs, vip.String())
	}
	for _, m := range lb.Mappings {
		doc.PortMappings = append(doc.PortMappings, mappingDocument{
			Protocol: uint32(m.Protocol), InternalPort: m.InternalPort, ExternalPort: m.ExternalPort,
			DistributionType: uint32(m.Distribution), Flags: uint32(m.Flags),
		})
	}
	return doc
}

// readBalancer reads the document that makes or replaces a load balancer. Numbers outside
// the enumerations are refused [?].
func readBalancer(doc balancerDocument) (hnslb.LoadBalancer, error) {
	lb := hnslb.LoadBalancer{Flags: hnslb.LoadBalancerFlags(doc.Flags)}
	for _, id := range doc.HostComputeEndpoints {
		lb.Endpoints = append(lb.Endpoints, hnslb.NewID(id))
	}
	var err error
	if lb.SourceVIP, err = readAddr(doc.SourceVIP); err != nil {
		return lb, err
	}
	if lb.VIPs, err = readVIPs(doc.FrontendVIPs); err != nil {
		return lb, err
	}
	for _, m := range doc.PortMappings {
		if m.Protocol > 0xff || m.DistributionType > uint32(hnslb.SourceIP) {
			return lb, refuse(hnslb.ResultInvalidArgument, "protocol %d, distribution %d", m.Protocol, m.DistributionType)
		}
		lb.Mappings = append(lb.Mappings, hnslb.PortMapping{
			Protocol: hnslb.Protocol(m.Protocol), InternalPort: m.InternalPort, ExternalPort: m.ExternalPort,
			Distribution: hnslb.Distribution(m.DistributionType), Flags: hnslb.MappingFlags(m.Flags),
		})
	}
	return lb, nil
}

// readVIPs reads frontend VIPs. An empty one is none: that is how an ingress without an
// address once took the node's [A: CVE-2021-25736].
func readVIPs(texts []string) ([]netip.Addr, error) {
	var vips []netip.Addr
	for _, s := range texts {
		vip, err := readAddr(s)
		if err != nil {
			return nil, err
		}
		if vip.IsValid() {
			vips = append(vips, vip)
		}
	}
	return vips, nil
}

// readAddr reads an address that may be missing.
func readAddr(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, refuse(hnslb.ResultInvalidIP, "%v", err)
	}
	return a.Unmap(), nil
}
