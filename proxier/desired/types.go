// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/apimachinery/pkg/types"
)

// Kind is the type of a frontend. Kinds differ in data only (law 3).
type Kind uint8

// The kinds of frontends.
const (
	ClusterIP Kind = iota
	NodePort
	ExternalIP
	IngressIP
	// HealthCheck forwards an ingress IP to the health check node port of this node.
	HealthCheck
)

// String returns the name in tables and in the lb_type metric label.
func (k Kind) String() string {
	return [...]string{"clusterip", "nodeport", "externalip", "ingressip", "healthcheck"}[k]
}

// Description returns the name in messages.
func (k Kind) Description() string {
	return [...]string{"cluster IP", "node port", "external IP", "load balancer ingress IP", "health-check port"}[k]
}

// Note is a reason with a message.
type Note struct {
	Reason  Reason
	Message string
}

// Frontend is one desired load balancer. It is immutable.
type Frontend struct {
	Key     hnslb.FrontendKey
	Kind    Kind
	Service services.Name
	// Port is the name of the Service's port.
	Port string
	// UID is the UID of the Service.
	UID     types.UID
	Created time.Time
	// Critical frontends, those of cluster DNS and the API server, are programmed first.
	Critical bool
	// Local frontends use endpoints of this node only, by traffic policy or annotation.
	Local bool

	InternalPort uint16
	SourceVIP    netip.Addr
	Flags        hnslb.LoadBalancerFlags
	MappingFlags hnslb.MappingFlags
	Distribution hnslb.Distribution
	// Backends, ordered by address and without duplicates. Empty for a blocked frontend.
	Backends []Backend
	// OwnsVIP frontends have a VIP that no backend may use: cluster IPs (law 12).
	OwnsVIP bool
	// VIPEndpoint requires a remote endpoint for the VIP itself (overlay cluster IPs).
	VIPEndpoint bool
	// Reserved frontends belong to a Service that was just deleted, see Reserve.
	Reserved bool

	// Blocked is why the frontend is not programmed; the zero Note if it is.
	Blocked Note
	// Limits are the features of the Service that Windows does not support (law 13).
	Limits []Note
}

// Backend is one endpoint of a frontend.
type Backend struct {
	IP netip.Addr
	// Pod is the UID of a pod on this node, "" for others.
	Pod types.UID
	// Local endpoints belong to the network plugin (law 10).
	Local bool
}

// Programmable returns whether HNS should have a load balancer for the frontend.
func (f *Frontend) Programmable() bool { return f != nil && len(f.Backends) > 0 }

// LoadBalancer returns the HNS object of the frontend, without ID and endpoints.
func (f *Frontend) LoadBalancer() hnslb.LoadBalancer {
	lb := hnslb.LoadBalancer{
		SourceVIP: f.SourceVIP,
		Flags:     f.Flags,
		Mappings: []hnslb.PortMapping{{
			Protocol:     f.Key.Protocol,
			InternalPort: f.InternalPort,
			ExternalPort: f.Key.Port,
			Distribution: f.Distribution,
			Flags:        f.MappingFlags,
		}},
	}
	if !f.Key.NodePort() {
		lb.VIPs = []netip.Addr{f.Key.VIP}
	}
	return lb
}

// Notes returns everything that keeps the frontend from working as its Service specifies: why,
// unless that is the zero Note, and its limits.
func (f *Frontend) Notes(why Note) []Note {
	if why.Reason == "" {
		return f.Limits
	}
	return append([]Note{why}, f.Limits...)
}

// Equal compares all fields.
func (f *Frontend) Equal(o *Frontend) bool {
	return f.sameOrigin(o) && f.sameObjects(o) && f.Blocked == o.Blocked && slices.Equal(f.Limits, o.Limits)
}

// sameOrigin compares the identity of two frontends.
func (f *Frontend) sameOrigin(o *Frontend) bool {
	return f.Key == o.Key && f.Kind == o.Kind && f.Service == o.Service && f.UID == o.UID && f.Port == o.Port &&
		f.Created.Equal(o.Created) && f.Critical == o.Critical && f.Local == o.Local && f.OwnsVIP == o.OwnsVIP && f.Reserved == o.Reserved
}

// sameObjects compares the HNS objects of two frontends.
func (f *Frontend) sameObjects(o *Frontend) bool {
	return f.InternalPort == o.InternalPort && f.SourceVIP == o.SourceVIP && f.Flags == o.Flags &&
		f.MappingFlags == o.MappingFlags && f.Distribution == o.Distribution &&
		f.VIPEndpoint == o.VIPEndpoint && slices.Equal(f.Backends, o.Backends)
}

// rank orders frontends by who assigns their VIP: the API server, a controller, or the author of
// the Service. A reserved VIP is protected from the latter two only, so that a new Service can take
// over the cluster IP.
func (f *Frontend) rank() int {
	switch {
	case f.Reserved:
		return 1
	case f.Kind == IngressIP || f.Kind == HealthCheck:
		return 2
	case f.Kind == ExternalIP:
		return 3
	}
	return 0
}

// compareClaims orders the claims of two Services on one frontend, the winner first: a cluster IP
// before an ingress IP before an external IP (CVE-2020-8554), then by creation time, then by
// namespace and name (law 12).
func (f *Frontend) compareClaims(o *Frontend) int {
	return cmp.Or(
		cmp.Compare(f.rank(), o.rank()),
		f.Created.Compare(o.Created),
		services.CompareNames(f.Service, o.Service),
	)
}
