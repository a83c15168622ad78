// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/Microsoft/hcsshim/hcn"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// schemaVersion is what clients send with every object, newer fields included; HNS does
// not refuse those for it (docs/hns.md, Conventions).
func schemaVersion() hcn.SchemaVersion { return hcn.SchemaVersion{Major: 2, Minor: 0} }

// composeEndpoint makes the document that creates e. The prefix length is left out: HNS
// takes that of the subnet.
func composeEndpoint(e hnslb.Endpoint) (*hcn.HostComputeEndpoint, error) {
	doc := &hcn.HostComputeEndpoint{
		Name:               e.Name,
		HostComputeNetwork: string(e.Network),
		MacAddress:         e.MAC,
		SchemaVersion:      schemaVersion(),
	}
	for _, ip := range e.IPs {
		if !ip.IsValid() {
			return nil, errors.New("empty address")
		}
		doc.IpConfigurations = append(doc.IpConfigurations, hcn.IpConfig{IpAddress: ip.String()})
	}
	if e.Remote {
		doc.Flags = hcn.EndpointFlagsRemoteEndpoint
	}
	if e.ProviderAddress.IsValid() {
		settings, err := json.Marshal(hcn.ProviderAddressEndpointPolicySetting{ProviderAddress: e.ProviderAddress.String()})
		if err != nil {
			return nil, fmt.Errorf("provider address: %w", err)
		}
		doc.Policies = []hcn.EndpointPolicy{{Type: hcn.NetworkProviderAddress, Settings: settings}}
	}
	return doc, nil
}

// composeLoadBalancer makes the document that creates lb, or that replaces it: an update
// takes a whole document, too, and the ID from elsewhere.
func composeLoadBalancer(lb hnslb.LoadBalancer) (*hcn.HostComputeLoadBalancer, error) {
	doc := &hcn.HostComputeLoadBalancer{
		SchemaVersion: schemaVersion(),
		Flags:         hcn.LoadBalancerFlags(lb.Flags),
	}
	for _, id := range lb.Endpoints {
		doc.HostComputeEndpoints = append(doc.HostComputeEndpoints, string(id))
	}
	if lb.SourceVIP.IsValid() {
		doc.SourceVIP = lb.SourceVIP.String()
	}
	for _, vip := range lb.VIPs {
		// An empty VIP would make HNS answer on every address of the node
		// (CVE-2021-25736).
		if !vip.IsValid() {
			return nil, errors.New("empty VIP")
		}
		doc.FrontendVIPs = append(doc.FrontendVIPs, vip.String())
	}
	for _, m := range lb.Mappings {
		doc.PortMappings = append(doc.PortMappings, hcn.LoadBalancerPortMapping{
			Protocol:         uint32(m.Protocol),
			InternalPort:     m.InternalPort,
			ExternalPort:     m.ExternalPort,
			DistributionType: hcn.LoadBalancerDistribution(m.Distribution),
			Flags:            hcn.LoadBalancerPortMappingFlags(m.Flags),
		})
	}
	return doc, nil
}
