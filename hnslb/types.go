// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import (
	"fmt"
	"net/netip"
	"strings"
)

// ID is the GUID that HNS gave an object, in lower case.
//
// HNS prints GUIDs in lower case through V2 and in upper case through V1 (docs/hns.md,
// Conventions). Drivers therefore convert every ID with NewID, so that IDs can be compared with ==.
type ID string

// NewID returns the ID for a GUID in either case.
func NewID(guid string) ID { return ID(strings.ToLower(guid)) }

// Family is an IP family. It is part of every identity: an IPv4 and an IPv6 node port with the same
// number are different objects in HNS.
type Family uint8

// The two IP families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf returns the family of an address. IPv4-mapped IPv6 addresses must be unmapped first.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// FirstOf returns the first address of a family, or the zero Addr.
func FirstOf(ips []netip.Addr, f Family) netip.Addr {
	for _, ip := range ips {
		if FamilyOf(ip) == f {
			return ip
		}
	}
	return netip.Addr{}
}

// String returns "IPv4" or "IPv6", the values that Kubernetes and the ip_family metric
// label use.
func (f Family) String() string {
	if f == IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// Protocol is an IP protocol number.
type Protocol uint8

// The protocols of Services. HNS supports TCP and UDP; its schema has no SCTP.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// String returns the Kubernetes name of the protocol.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	case SCTP:
		return "SCTP"
	}
	return "protocol-" + itoa(uint16(p))
}

// ParseProtocol parses what String returns.
func ParseProtocol(s string) (Protocol, error) {
	for n := range 256 {
		if p := Protocol(n); p.String() == s {
			return p, nil
		}
	}
	return 0, fmt.Errorf("unknown protocol %q", s)
}

// NetworkOverlay is the Type of VXLAN networks, the only type that needs different objects. It is
// compared ignoring case.
const NetworkOverlay = "Overlay"

// Network is the HNS network that carries this node's pods.
type Network struct {
	ID   ID
	Name string
	// Type as HNS names it: L2Bridge, L2Tunnel, Overlay, Transparent, ...
	Type string
	// ManagementIP is the host's address on the network. HNS sets it some time after the network
	// was created and may change it later; it is the zero Addr until then.
	ManagementIP netip.Addr
	// HostMAC is the MAC of the host interface that has ManagementIP, with dashes; empty if no
	// interface has it. Overlay needs it for the endpoints of cluster IPs.
	HostMAC string
	// Adapters are all addresses of the host, each with the MAC of its interface. A node may have
	// several interfaces, and its own address may differ from ManagementIP.
	Adapters []Adapter
	// Subnets are the pod subnets of this node.
	Subnets []netip.Prefix
	// Remotes are the RemoteSubnetRoute policies, which map pod subnets to the hosts that carry
	// them.
	Remotes []RemoteSubnet
}

// IsOverlay returns whether the network encapsulates packets, so that remote endpoints need a
// provider address and traffic needs a source VIP.
func (n Network) IsOverlay() bool { return strings.EqualFold(n.Type, NetworkOverlay) }

// CarriesServices returns whether HNS supports load balancers on networks of this type. Networks of
// type NAT, ICS, Internal and Private are behind the host and have none.
func (n Network) CarriesServices() bool {
	for _, t := range []string{"NAT", "ICS", "Internal", "Private"} {
		if strings.EqualFold(n.Type, t) {
			return false
		}
	}
	return true
}

// Adapter is an address of the host and the MAC of its interface, with dashes.
type Adapter struct {
	IP  netip.Addr
	MAC string
}

// RemoteSubnet is one RemoteSubnetRoute policy of an overlay network.
type RemoteSubnet struct {
	Prefix netip.Prefix
	// ProviderAddress is the address of the host that carries Prefix.
	ProviderAddress netip.Addr
}

// Endpoint is an HNS endpoint: the switch port of a local pod, or a remote endpoint, which
// represents an address elsewhere so that load balancers can reference it.
type Endpoint struct {
	ID      ID
	Network ID
	Name    string
	// IPs contains one address, or one per family for a dual-stack pod.
	IPs []netip.Addr
	// MAC with dashes, in the case that HNS returns. Compare ignoring case.
	MAC    string
	Remote bool
	// ProviderAddress is the host that carries a remote endpoint on an overlay.
	ProviderAddress netip.Addr
}

// DefaultEndpointName is the name that some HNS builds give an endpoint created without one
// (microsoft/SDN issue 227).
const DefaultEndpointName = "Ethernet"

// Unnamed returns whether the endpoint was created without a name, as far as that can be
// determined.
func (e Endpoint) Unnamed() bool { return e.Name == "" || e.Name == DefaultEndpointName }

// LoadBalancerFlags are the flags of an HNS load balancer.
type LoadBalancerFlags uint32

// Load balancer flags, HNS schema 2.0 and 2.8.
const (
	DSR         LoadBalancerFlags = 1
	IPv6Enabled LoadBalancerFlags = 2
)

// MappingFlags are the flags of one port mapping of an HNS load balancer.
type MappingFlags uint32

// Port mapping flags. VIPExternal is not on the schema page and has no name in hcsshim; V1 calls it
// IsVipExternalIP.
const (
	ILB            MappingFlags = 1
	LocalRoutedVIP MappingFlags = 2
	UseMux         MappingFlags = 4
	PreserveDIP    MappingFlags = 8
	VIPExternal    MappingFlags = 16
)

// Distribution is how the backend of a new flow is selected.
type Distribution uint8

// Distributions, HNS schema 2.7.
const (
	FiveTuple        Distribution = 0
	SourceIPProtocol Distribution = 1
	SourceIP         Distribution = 2
)

// PortMapping maps a port of the VIP to a port of the backends.
type PortMapping struct {
	Protocol     Protocol
	InternalPort uint16
	ExternalPort uint16
	Distribution Distribution
	Flags        MappingFlags
}

// LoadBalancer is an HNS load balancer. hnsproxy creates them with exactly one mapping and at most
// one VIP; those of other programs, and half-made ones, may have more or none.
type LoadBalancer struct {
	ID ID
	// Endpoints are the backends. An ID may refer to an endpoint that no longer exists, since HNS
	// deletes endpoints that load balancers reference.
	Endpoints []ID
	// SourceVIP is the source address of load-balanced traffic; with the zero Addr, HNS chooses
	// one.
	SourceVIP netip.Addr
	// VIPs is empty for a node port, which the load balancer serves on the node's own address.
	VIPs     []netip.Addr
	Mappings []PortMapping
	Flags    LoadBalancerFlags
	// Degraded is true if HNS reports a state other than healthy (docs/hns.md, load balancers
	// through V1). Only lists set it; false may also mean unknown. Writes ignore it.
	Degraded bool
}
