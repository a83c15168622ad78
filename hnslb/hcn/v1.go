// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// v1LoadBalancer is what the V1 form of a load balancer shows.
type v1LoadBalancer struct {
	// LoadBalancer without flags and distribution.
	hnslb.LoadBalancer
	// Whole is false for an object that V1 cannot show as one mapping: half-made, with
	// several, or with the wildcards that only V1 clients write. V2 has to be asked.
	Whole bool
}

// v1Policy is one entry of a V1 policy list, as far as it is used. HNS leaves out fields
// that are zero.
type v1Policy struct {
	Type         string
	Protocol     hnslb.Protocol
	InternalPort uint16
	ExternalPort uint16
	SourceVIP    string
	VIPs         []string
	PA           string
}

// v1PolicyList is a V1 policy list, as far as it is used. hcsshim's type lacks the state.
type v1PolicyList struct {
	ID         string
	References []string
	Policies   []json.RawMessage
	State      uint32
}

// v1StateHealthy is the State of a policy list that works. Microsoft's check of a node's
// network, networkhealth.ps1, complains of any other; 4 is degraded.
const v1StateHealthy = 2

// degraded tells whether HNS reports a state, and another one than healthy.
func (l v1PolicyList) degraded() bool { return l.State != 0 && l.State != v1StateHealthy }

const (
	v1TypeELB       = "ELB"
	v1TypePA        = "PA"
	v1EndpointsPath = "/endpoints/"
)

// parseV1LoadBalancers reads what V1 answers when it is asked for all policy lists.
func parseV1LoadBalancers(text []byte) ([]v1LoadBalancer, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var lists []v1PolicyList
	if err := json.Unmarshal(text, &lists); err != nil {
		return nil, err
	}
	all := make([]v1LoadBalancer, 0, len(lists))
	for _, l := range lists {
		if lb, ok := parseV1LoadBalancer(l); ok {
			all = append(all, lb)
		}
	}
	return all, nil
}

// parseV1LoadBalancer reads a V1 policy list. It is false for one that is no load balancer;
// routes live in the same collection.
func parseV1LoadBalancer(l v1PolicyList) (v1LoadBalancer, bool) {
	lb := v1LoadBalancer{LoadBalancer: hnslb.LoadBalancer{ID: hnslb.NewID(l.ID), Degraded: l.degraded()}}
	for _, r := range l.References {
		if guid, ok := strings.CutPrefix(r, v1EndpointsPath); ok {
			lb.Endpoints = append(lb.Endpoints, hnslb.NewID(guid))
		}
	}
	var elb []v1Policy
	unread := 0
	for _, raw := range l.Policies {
		var p v1Policy
		if err := json.Unmarshal(raw, &p); err != nil {
			unread++
		} else if strings.EqualFold(p.Type, v1TypeELB) {
			elb = append(elb, p)
		}
	}
	if len(elb) == 0 {
		// Nothing there at all may be a half-made load balancer. V2 knows.
		return lb, unread > 0 || len(l.Policies) == 0
	}
	p := elb[0]
	vips, ok := parseVIPs(p.VIPs)
	lb.VIPs = vips
	lb.SourceVIP = parseAddr(p.SourceVIP)
	lb.Mappings = []hnslb.PortMapping{{Protocol: p.Protocol, InternalPort: p.InternalPort, ExternalPort: p.ExternalPort}}
	lb.Whole = ok && len(elb) == 1 && unread == 0 && p.Protocol != 0
	return lb, true
}

// v1ProviderAddress finds the provider address among the V1 policies of an endpoint.
func v1ProviderAddress(policies []json.RawMessage) netip.Addr {
	for _, raw := range policies {
		var p v1Policy
		// A policy that does not decode is of a type with other fields.
		if err := json.Unmarshal(raw, &p); err == nil && strings.EqualFold(p.Type, v1TypePA) {
			return parseAddr(p.PA)
		}
	}
	return netip.Addr{}
}

// parseVIPs reads frontend VIPs. An empty text is no VIP: HNS takes it so, and old clients
// write it for node ports. It is false when one does not parse, and then returns none;
// the object must not pass for a node port.
func parseVIPs(texts []string) ([]netip.Addr, bool) {
	var vips []netip.Addr
	for _, text := range texts {
		if text == "" {
			continue
		}
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, false
		}
		vips = append(vips, a.Unmap())
	}
	return vips, true
}

// parseAddr reads an address that may be missing.
func parseAddr(text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return known(a)
}

// addrOf is parseAddr for an address that is decoded already.
func addrOf(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.Addr{}
	}
	return known(a)
}

// known brings an address into the one form that compares with ==. HNS also writes 0.0.0.0
// for none.
func known(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// addrsOf keeps the addresses that are there.
func addrsOf(addrs ...netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !a.IsValid() })
}

// sameBalancer tells whether V1 and V2 agree about one load balancer.
func sameBalancer(v1 v1LoadBalancer, v2 hnslb.LoadBalancer) bool {
	if len(v2.Mappings) != 1 || len(v1.Mappings) != 1 {
		return false
	}
	m := v2.Mappings[0]
	m.Flags, m.Distribution = 0, 0 // what V1 does not show
	return v1.ID == v2.ID && v1.SourceVIP == v2.SourceVIP && v1.Mappings[0] == m &&
		sameSet(v1.Endpoints, v2.Endpoints, func(a, b hnslb.ID) int { return strings.Compare(string(a), string(b)) }) &&
		sameSet(v1.VIPs, v2.VIPs, netip.Addr.Compare)
}

// sameEndpoint tells whether V1 and V2 agree about one endpoint. Only one of them may show a
// name that HNS gave it by itself.
func sameEndpoint(v1, v2 hnslb.Endpoint) bool {
	return v1.ID == v2.ID && v1.Network == v2.Network && (v1.Name == v2.Name || v1.Unnamed() && v2.Unnamed()) &&
		strings.EqualFold(v1.MAC, v2.MAC) && v1.Remote == v2.Remote &&
		v1.ProviderAddress == v2.ProviderAddress &&
		sameSet(v1.IPs, v2.IPs, netip.Addr.Compare)
}

// sameSet compares two lists whose order HNS does not promise.
func sameSet[T comparable](a, b []T, compare func(T, T) int) bool {
	return slices.Equal(slices.SortedFunc(slices.Values(a), compare), slices.SortedFunc(slices.Values(b), compare))
}
