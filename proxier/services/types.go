// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"net/netip"
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"k8s.io/apimachinery/pkg/types"
)

// Name is the namespace and name of a Service.
type Name = types.NamespacedName

// Service contains the fields of a Service that matter to a proxy. It is immutable once stored.
type Service struct {
	Name Name
	// UID distinguishes a Service from an earlier one with the same name; Events need it.
	UID types.UID
	// Created decides between Services that claim the same frontend: the older one wins (law 12).
	Created time.Time

	ClusterIPs  []netip.Addr
	ExternalIPs []netip.Addr
	// IngressIPs are the load balancer's addresses with ipMode VIP (KEP-1860).
	IngressIPs []netip.Addr
	// Families of the Service, primary first. Node ports exist in each family.
	Families []hnslb.Family
	Ports    []Port

	// InternalLocal is internalTrafficPolicy Local (KEP-2086).
	InternalLocal bool
	// ExternalLocal is externalTrafficPolicy Local.
	ExternalLocal bool
	// Restricted are the families whose ingress IPs loadBalancerSourceRanges restricts.
	Restricted []hnslb.Family
	// ClientIPAffinity is sessionAffinity ClientIP.
	ClientIPAffinity bool
	// AffinityTimeout is the timeout of session affinity in seconds; 0 for the default of three
	// hours.
	AffinityTimeout int32
	// PreserveDestination is the annotation preserve-destination: "true".
	PreserveDestination bool
	// HealthCheckNodePort is the port on which a load balancer checks whether this node has
	// endpoints of the Service; 0 unless the type is LoadBalancer and the external policy is Local.
	HealthCheckNodePort uint16
}

// Port is one port of a Service.
type Port struct {
	Name     string
	Protocol hnslb.Protocol
	Port     uint16
	// NodePort is 0 if the Service has none.
	NodePort uint16
}

// Equal compares all that a proxy cares about.
func (s *Service) Equal(o *Service) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.Name == o.Name && s.UID == o.UID && s.Created.Equal(o.Created) &&
		slices.Equal(s.ClusterIPs, o.ClusterIPs) && slices.Equal(s.ExternalIPs, o.ExternalIPs) &&
		slices.Equal(s.IngressIPs, o.IngressIPs) && slices.Equal(s.Families, o.Families) &&
		slices.Equal(s.Ports, o.Ports) && s.samePolicies(o)
}

// samePolicies compares the settings other than addresses and ports.
func (s *Service) samePolicies(o *Service) bool {
	return s.InternalLocal == o.InternalLocal && s.ExternalLocal == o.ExternalLocal &&
		slices.Equal(s.Restricted, o.Restricted) && s.ClientIPAffinity == o.ClientIPAffinity &&
		s.AffinityTimeout == o.AffinityTimeout && s.PreserveDestination == o.PreserveDestination &&
		s.HealthCheckNodePort == o.HealthCheckNodePort
}

// Slice is one EndpointSlice. It is immutable once stored.
type Slice struct {
	// Name of the EndpointSlice; its namespace is that of the Service.
	Name      string
	Service   Name
	Family    hnslb.Family
	Ports     []SlicePort
	Endpoints []Endpoint
	// Trigger is when the change behind this version happened, by the endpoint controller's clock;
	// the zero time if unknown. Equal ignores it.
	Trigger time.Time
}

// SlicePort is one port of all endpoints of a slice.
type SlicePort struct {
	Name     string
	Protocol hnslb.Protocol
	// Port is the target port. It may differ between slices of one Service, since named target
	// ports resolve per pod.
	Port uint16
}

// Equal compares all that a proxy cares about.
func (s *Slice) Equal(o *Slice) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.Name == o.Name && s.Service == o.Service && s.Family == o.Family &&
		slices.Equal(s.Ports, o.Ports) && slices.Equal(s.Endpoints, o.Endpoints)
}

// Endpoint is one endpoint of a slice. It is comparable. Strings are interned, since large clusters
// repeat the same node names, zones and hints many times.
type Endpoint struct {
	IP   netip.Addr
	Node string
	// Zone that the endpoint is in.
	Zone string
	// Zones and Nodes are the hints (KEP-2433, KEP-3015), sorted and separated by commas, which no
	// zone or node name contains.
	Zones, Nodes string
	// Pod is the UID of the pod of an endpoint on this node, else "". When a new pod reuses an
	// address, it has a new HNS endpoint.
	Pod   types.UID
	Ready bool
	// Serving and Terminating are the other two conditions (KEP-1669).
	Serving, Terminating bool
}

// Node contains the fields of this node's Node object that matter to a proxy.
type Node struct {
	Name string
	Zone string
	// IPs are the addresses of the node, at most one per family.
	IPs []netip.Addr
	// Eligible is whether cloud load balancers may send traffic to the node: the Node exists, is
	// not being deleted, and the cluster autoscaler is not about to remove it (KEP-3836).
	Eligible bool
}

// IP returns the node's address of a family, or the zero Addr.
func (n Node) IP(f hnslb.Family) netip.Addr { return hnslb.FirstOf(n.IPs, f) }

// WithOverrides returns the node with its addresses replaced, each in its family: the other family
// of a dual-stack node keeps the address of the Node object.
func (n Node) WithOverrides(given []netip.Addr) Node {
	if len(given) == 0 {
		return n
	}
	ips := slices.Clone(given)
	for _, ip := range n.IPs {
		if !slices.ContainsFunc(given, func(o netip.Addr) bool { return hnslb.FamilyOf(o) == hnslb.FamilyOf(ip) }) {
			ips = append(ips, ip)
		}
	}
	n.IPs = ips
	return n
}

// SameTopology returns whether both nodes lead to the same endpoints and addresses.
func (n Node) SameTopology(o Node) bool {
	return n.Name == o.Name && n.Zone == o.Zone && slices.Equal(n.IPs, o.IPs)
}
