// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"context"
	"net/netip"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// This file holds the V1 documents [A: Two schemas, one store; The V1 interface].

// version is what V1 objects carry: the version of HNS, major in the upper half [A:
// Conventions].
func version(p profiles.Profile) uint64 {
	return uint64(p.Version.Major)<<32 | uint64(p.Version.Minor)
}

type v1Network struct {
	ID                 string     `json:",omitempty"`
	Name               string     `json:",omitempty"`
	Type               string     `json:",omitempty"`
	NetworkAdapterName string     `json:",omitempty"`
	SourceMac          string     `json:",omitempty"`
	ManagementIP       string     `json:",omitempty"`
	DrMacAddress       string     `json:",omitempty"`
	Policies           []v1Policy `json:",omitempty"`
	Subnets            []v1Subnet `json:",omitempty"`
	Version            uint64     `json:",omitempty"`
}

type v1Subnet struct {
	AddressPrefix  string     `json:",omitempty"`
	GatewayAddress string     `json:",omitempty"`
	Policies       []v1Policy `json:",omitempty"`
}

// v1Policy has the fields of all V1 policies that are emulated.
type v1Policy struct {
	Type            string
	VSID            uint16   `json:",omitempty"`
	PA              string   `json:",omitempty"`
	Protocol        uint32   `json:",omitempty"`
	InternalPort    uint16   `json:",omitempty"`
	ExternalPort    uint16   `json:",omitempty"`
	SourceVIP       string   `json:",omitempty"`
	VIPs            []string `json:",omitempty"`
	ILB             bool     `json:",omitempty"`
	IsDSR           bool     `json:",omitempty"`
	LocalRoutedVip  bool     `json:",omitempty"`
	IsVipExternalIP bool     `json:",omitempty"`
}

// V1 policy types.
const (
	v1TypeELB  = "ELB"
	v1TypePA   = "PA"
	v1TypeVSID = "VSID"
)

func writeV1Network(n emulator.NetworkState, p profiles.Profile) v1Network {
	doc := v1Network{
		ID: printID(n.ID, true), Name: n.Name, Type: n.Type, NetworkAdapterName: "Ethernet",
		SourceMac: n.HostMAC, Version: version(p),
	}
	if n.ManagementIP.IsValid() {
		doc.ManagementIP = n.ManagementIP.String()
	}
	for _, prefix := range n.Subnets {
		subnet := v1Subnet{AddressPrefix: prefix.String(), GatewayAddress: gateway(prefix).String()}
		if n.IsOverlay() {
			subnet.Policies = []v1Policy{{Type: v1TypeVSID, VSID: isolation}}
		}
		doc.Subnets = append(doc.Subnets, subnet)
	}
	if n.IsOverlay() {
		doc.DrMacAddress = n.HostMAC
	}
	return doc
}

func (s *Server) createV1Network(ctx context.Context, document string) (hnslb.ID, error) {
	var doc v1Network
	if err := readJSON(document, &doc); err != nil {
		return "", err
	}
	id, err := chosenID("", doc.ID)
	if err != nil {
		return "", err
	}
	spec := emulator.NetworkSpec{Name: doc.Name, Type: doc.Type, HostMAC: doc.SourceMac}
	if spec.ManagementIP, err = readAddr(doc.ManagementIP); err != nil {
		return "", err
	}
	for _, subnet := range doc.Subnets {
		p, err := netip.ParsePrefix(subnet.AddressPrefix)
		if err != nil {
			return "", refuse(hnslb.ResultInvalidArgument, "%v", err)
		}
		spec.Subnets = append(spec.Subnets, p)
	}
	n, err := s.hns.PlaceNetwork(ctx, spec, id)
	return n.ID, err
}

type v1Endpoint struct {
	ID                 string     `json:",omitempty"`
	Name               string     `json:",omitempty"`
	VirtualNetwork     string     `json:",omitempty"`
	VirtualNetworkName string     `json:",omitempty"`
	Policies           []v1Policy `json:",omitempty"`
	MacAddress         string     `json:",omitempty"`
	IPAddress          string     `json:",omitempty"`
	IPv6Address        string     `json:",omitempty"`
	PrefixLength       uint8      `json:",omitempty"`
	IPv6PrefixLength   uint8      `json:",omitempty"`
	GatewayAddress     string     `json:",omitempty"`
	GatewayAddressV6   string     `json:",omitempty"`
	IsRemoteEndpoint   bool       `json:",omitempty"`
	State              uint16     `json:",omitempty"`
	Version            uint64     `json:",omitempty"`
}

// States of V1 endpoints [A: Endpoints] and policy lists [A: Two schemas, one store].
const (
	v1EndpointCreated    = 1
	v1EndpointAttached   = 3 // shared: a pod has several containers
	v1PolicyListApplied  = 2
	v1PolicyListDegraded = 4
)

func writeV1Endpoint(ep emulator.EndpointState, n hnslb.Network, p profiles.Profile) v1Endpoint {
	doc := v1Endpoint{
		ID: printID(ep.ID, true), Name: p.Quirks.ShownName(ep.Name, true),
		VirtualNetwork: printID(ep.Network, true), VirtualNetworkName: n.Name,
		MacAddress: ep.MAC, IsRemoteEndpoint: ep.Remote, State: v1EndpointCreated, Version: version(p),
	}
	if !ep.Remote && !ep.Detached {
		doc.State = v1EndpointAttached
	}
	if ep.ProviderAddress.IsValid() {
		doc.Policies = []v1Policy{{Type: v1TypePA, PA: ep.ProviderAddress.String()}}
	}
	for _, ip := range ep.IPs {
		subnet := subnetOf(n, ip)
		bits, next := uint8(subnet.Bits()), ""
		if !ep.Remote {
			next = gateway(subnet).String()
		}
		if ip.Is4() {
			doc.IPAddress, doc.PrefixLength, doc.GatewayAddress = ip.String(), bits, next
		} else {
			doc.IPv6Address, doc.IPv6PrefixLength, doc.GatewayAddressV6 = ip.String(), bits, next
		}
	}
	return doc
}

func (s *Server) createV1Endpoint(ctx context.Context, document string) (hnslb.ID, error) {
	var doc v1Endpoint
	if err := readJSON(document, &doc); err != nil {
		return "", err
	}
	ep := hnslb.Endpoint{
		Network: hnslb.NewID(doc.VirtualNetwork), Name: doc.Name, MAC: doc.MacAddress, Remote: doc.IsRemoteEndpoint,
	}
	var err error
	if ep.ID, err = chosenID("", doc.ID); err != nil {
		return "", err
	}
	if ep.IPs, err = readVIPs([]string{doc.IPAddress, doc.IPv6Address}); err != nil {
		return "", err
	}
	for _, p := range doc.Policies {
		if strings.EqualFold(p.Type, v1TypePA) {
			if ep.ProviderAddress, err = readAddr(p.PA); err != nil {
				return "", err
			}
		}
	}
	made, err := s.hns.PlaceEndpoint(ctx, ep)
	return made.ID, v1Missing(hnslb.ResultNetworkNotFound, err)
}

type v1PolicyList struct {
	ID                 string     `json:",omitempty"`
	References         []string   `json:",omitempty"`
	Policies           []v1Policy `json:",omitempty"`
	HostComputeNetwork string     `json:",omitempty"`
	IsApplied          bool
	State              uint16
	Version            uint64
}

const v1EndpointsPath = "/endpoints/"

// writeV1Balancer makes the policy list of a load balancer. The IPv6, UseMux and
// PreserveDIP flags and the distribution have no place in it [C: no document shows one].
func writeV1Balancer(lb emulator.LoadBalancerState, p profiles.Profile) v1PolicyList {
	doc := v1PolicyList{
		ID: printID(lb.ID, true), HostComputeNetwork: printID(lb.Network, true),
		State: v1PolicyListApplied, Version: version(p),
	}
	if p.Quirks.Degrades(lb.NoRules) {
		doc.State = v1PolicyListDegraded
	}
	for _, id := range lb.Endpoints {
		doc.References = append(doc.References, v1EndpointsPath+string(id))
	}
	v2 := writeBalancer(lb.LoadBalancer)
	for _, m := range v2.PortMappings {
		doc.Policies = append(doc.Policies, v1Policy{
			Type: v1TypeELB, Protocol: m.Protocol, InternalPort: m.InternalPort, ExternalPort: m.ExternalPort,
			SourceVIP: v2.SourceVIP, VIPs: v2.FrontendVIPs,
			ILB:             m.Flags&uint32(hnslb.ILB) != 0,
			IsDSR:           lb.Flags&hnslb.DSR != 0,
			LocalRoutedVip:  m.Flags&uint32(hnslb.LocalRoutedVIP) != 0,
			IsVipExternalIP: m.Flags&uint32(hnslb.VIPExternal) != 0,
		})
	}
	return doc
}

func (s *Server) createV1Balancer(ctx context.Context, document string) (hnslb.ID, error) {
	var doc v1PolicyList
	if err := readJSON(document, &doc); err != nil {
		return "", err
	}
	lb, err := readV1Balancer(doc)
	if err != nil {
		return "", err
	}
	made, err := s.hns.PlaceLoadBalancer(ctx, lb)
	return made.ID, err
}

// readV1Balancer reads a policy list of load-balancing policies, which share their VIPs.
// Routes are not emulated.
func readV1Balancer(doc v1PolicyList) (hnslb.LoadBalancer, error) {
	var lb hnslb.LoadBalancer
	var err error
	if lb.ID, err = chosenID("", doc.ID); err != nil {
		return lb, err
	}
	for _, reference := range doc.References {
		lb.Endpoints = append(lb.Endpoints, hnslb.NewID(reference[strings.LastIndex(reference, "/")+1:]))
	}
	v2 := balancerDocument{}
	for _, p := range doc.Policies {
		if !strings.EqualFold(p.Type, v1TypeELB) {
			return lb, refuse(hnslb.ResultRequestUnsupported, "policy %s", p.Type)
		}
		v2.SourceVIP, v2.FrontendVIPs = p.SourceVIP, p.VIPs
		v2.Flags |= flagIf(p.IsDSR, uint32(hnslb.DSR))
		v2.PortMappings = append(v2.PortMappings, mappingDocument{
			Protocol: p.Protocol, InternalPort: p.InternalPort, ExternalPort: p.ExternalPort,
			Flags: flagIf(p.ILB, uint32(hnslb.ILB)) | flagIf(p.LocalRoutedVip, uint32(hnslb.LocalRoutedVIP)) |
				flagIf(p.IsVipExternalIP, uint32(hnslb.VIPExternal)),
		})
	}
	read, err := readBalancer(v2)
	if err != nil {
		return lb, err
	}
	read.ID, read.Endpoints = lb.ID, lb.Endpoints
	if len(read.VIPs) > 0 && hnslb.FamilyOf(read.VIPs[0]) == hnslb.IPv6 {
		read.Flags |= hnslb.IPv6Enabled
	}
	return read, nil
}

func flagIf(on bool, flag uint32) uint32 {
	if on {
		return flag
	}
	return 0
}
