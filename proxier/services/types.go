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

// Name is namespace and name of a Service.
type Name = types.NamespacedName

// Service is a Service as far as a proxy cares. It is immutable once stored.
type Service struct {
	Name Name
	// UID tells a Service from an earlier one of that name; Events need it.
	UID types.UID
	// Created orders Services that claim one frontend: the older one wins (law 12).
	Created time.Time

	ClusterIPs  []netip.Addr
	ExternalIPs []netip.Addr
	// IngressIPs are the load balancer's addresses with ipMode VIP (KEP-1860).
	IngressIPs []netip.Addr
	// Families of the Service, primary first. Node ports exist once in each.
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
	// AffinityTimeout, in seconds, is how long affinity shall last; 0 unless the Service asks
	// for another time than the three hours that every Service gets.
	AffinityTimeout int32
	// PreserveDestination is the annotation preserve-destination: "true".
	PreserveDestination bool
	// HealthCheckNodePort is where a load balancer asks whether this node has endpoints of
	// the Service; 0 unless the type is LoadBalancer and the external policy is Local.
	HealthCheckNodePort uint16
}

// Port is one port of a Service.
type Port struct {
	Name     string
	Protocol hnslb.Protocol
	Port     uint16
	// NodePort is 0 when the Service has none.
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

// samePolicies compares what a Service asks for its frontends.
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
	// Trigger is when the change behind it happened, by the endpoint controller's clock;
	// the zero time when it does not say. It is no part of the value that Equal compares.
	Trigger time.Time
}

// SlicePort is one port that all endpoints of a slice serve.
type SlicePort struct {
	Name     string
	Protocol hnslb.Protocol
	// Port is the target port. Slices of one Service may disagree on it: named target
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

// Endpoint is one endpoint of a slice. It is comparable; strings are interned, since a
// large cluster repeats few node names, zones and hints very often.
type Endpoint struct {
	IP   netip.Addr
	Node string
	// Zone that the endpoint is in.
	Zone string
	// Zones and Nodes are the hints (KEP-2433, KEP-3015), joined by commas in sorted
	// order, which no zone or node name contains.
	Zones, Nodes string
	// Pod is the UID of the pod behind an endpoint of this node, else "": a pod that
	// follows another on the same address has another HNS endpoint.
	Pod   types.UID
	Ready bool
	// Serving and Terminating are the other two conditions (KEP-1669).
	Serving, Terminating bool
}

// Node is the Node this proxy runs on.
type Node struct {
	Name string
	Zone string
	// IPs are the internal addresses, at most one per family counts.
	IPs []netip.Addr
	// Eligible tells whether cloud load balancers may send here: the Node exists, is not
	// being deleted, and the cluster autoscaler is not about to remove it (KEP-3836).
	Eligible bool
}

// IP returns the node's address of a family, or the zero Addr.
func (n Node) IP(f hnslb.Family) netip.Addr {
	for _, ip := range n.IPs {
		if hnslb.FamilyOf(ip) == f {
			return ip
		}
	}
	return netip.Addr{}
}

// WithOverrides returns the node with addresses that outrank its own, each in its family: the other
// family of a dual-stack node keeps what the Node object says.
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

// SameTopology tells whether endpoint choice and addresses come out the same for both.
func (n Node) SameTopology(o Node) bool {
	return n.Name == o.Name && n.Zone == o.Zone && slices.Equal(n.IPs, o.IPs)
}
