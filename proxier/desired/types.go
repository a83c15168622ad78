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

// Kind is the type of a frontend. Kinds differ in data only
// (law 3).
type Kind uint8

// The kinds of frontends.
const (
	ClusterIP Kind = iota
	NodePort
	ExternalIP
	IngressIP
	// HealthCheck leads from an ingress IP to the health-check node port of this node.
	HealthCheck
)

// String returns the name that tables and the lb_type metric label use.
func (k Kind) String() string {
	return [...]string{"clusterip", "nodeport", "externalip", "ingressip", "healthcheck"}[k]
}

// Description names the kind in messages for people.
func (k Kind) Description() string {
	return [...]string{"cluster IP", "node port", "external IP", "load balancer ingress IP", "health-check port"}[k]
}

// Note is a reason with its words for people.
type Note struct {
	Reason  Reason
	Message string
}

// Frontend is one load balancer that HNS should hold. It is immutable.
type Frontend struct {
	Key     hnslb.FrontendKey
	Kind    Kind
	Service services.Name
	// Port is the name of the Service's port.
	Port string
	// UID is that of the Service.
	UID     types.UID
	Created time.Time
	// Critical frontends come first: cluster DNS and the API server.
	Critical bool
	// Local frontends take endpoints of this node only, by traffic policy or annotation.
	Local bool

	InternalPort uint16
	SourceVIP    netip.Addr
	Flags        hnslb.LoadBalancerFlags
	MappingFlags hnslb.MappingFlags
	Distribution hnslb.Distribution
	// Backends in order of their addresses, each once. Empty for a blocked frontend.
	Backends []Backend
	// OwnsVIP frontends have a VIP that no backend may use: cluster IPs (law 12).
	OwnsVIP bool
	// VIPEndpoint asks for a remote endpoint of the VIP itself (overlay cluster IPs).
	VIPEndpoint bool
	// Reserved frontends stand for a Service that was deleted a moment ago, see Reserve.
	Reserved bool

	// Blocked says why there is nothing to program; the zero Note when there is.
	Blocked Note
	// Limits say what Windows cannot do for it (law 13).
	Limits []Note
}

// Backend is one endpoint that a frontend should name.
type Backend struct {
	IP netip.Addr
	// Pod is the UID of a pod on this node, "" for others.
	Pod types.UID
	// Local endpoints belong to the network plugin (law 10).
	Local bool
}

// Programmable tells whether HNS should hold a load balancer for the frontend.
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

// Notes say all that keeps the frontend from being in force as its Service asks: why, unless
// that is the zero Note, and its limits.
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

// sameOrigin compares what a frontend stands for.
func (f *Frontend) sameOrigin(o *Frontend) bool {
	return f.Key == o.Key && f.Kind == o.Kind && f.Service == o.Service && f.UID == o.UID && f.Port == o.Port &&
		f.Created.Equal(o.Created) && f.Critical == o.Critical && f.Local == o.Local && f.OwnsVIP == o.OwnsVIP && f.Reserved == o.Reserved
}

// sameObjects compares what HNS should hold for it.
func (f *Frontend) sameObjects(o *Frontend) bool {
	return f.InternalPort == o.InternalPort && f.SourceVIP == o.SourceVIP && f.Flags == o.Flags &&
		f.MappingFlags == o.MappingFlags && f.Distribution == o.Distribution &&
		f.VIPEndpoint == o.VIPEndpoint && slices.Equal(f.Backends, o.Backends)
}

// rank says who hands out the VIP of a frontend: the API server, a controller, or whoever
// writes the Service. A deleted Service keeps its VIP from the latter two only, so that a new
// one can take over its cluster IP.
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

// compareClaims orders the claims of two Services on one frontend, the one that gets it
// first: a cluster IP before an ingress IP before an external IP (CVE-2020-8554), and only
// among equals by creation time, then namespace and name (law 12).
func (f *Frontend) compareClaims(o *Frontend) int {
	return cmp.Or(
		cmp.Compare(f.rank(), o.rank()),
		f.Created.Compare(o.Created),
		services.CompareNames(f.Service, o.Service),
	)
}
