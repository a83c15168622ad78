// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import (
	"cmp"
	"net/netip"
	"strconv"
)

// FrontendKey identifies a frontend, of which HNS accepts one: the address, protocol and port that
// a load balancer serves.
type FrontendKey struct {
	Family Family
	// VIP is the zero Addr for a node port.
	VIP      netip.Addr
	Protocol Protocol
	Port     uint16
}

// Key returns the frontend of a load balancer. It returns false for an object without exactly one
// port mapping and at most one VIP, which hnsproxy never creates.
func (lb LoadBalancer) Key() (FrontendKey, bool) {
	if len(lb.Mappings) != 1 || len(lb.VIPs) > 1 {
		return FrontendKey{}, false
	}
	m := lb.Mappings[0]
	k := FrontendKey{Family: IPv4, Protocol: m.Protocol, Port: m.ExternalPort}
	if lb.Flags&IPv6Enabled != 0 {
		k.Family = IPv6
	}
	if len(lb.VIPs) == 1 {
		k.VIP = lb.VIPs[0]
		k.Family = FamilyOf(k.VIP)
	}
	return k, true
}

// NodePort returns whether the frontend is a node port, the only type without a VIP.
func (k FrontendKey) NodePort() bool { return !k.VIP.IsValid() }

// Compare orders keys by family, VIP, port and protocol.
func (k FrontendKey) Compare(o FrontendKey) int {
	return cmp.Or(
		cmp.Compare(k.Family, o.Family),
		k.VIP.Compare(o.VIP),
		cmp.Compare(k.Port, o.Port),
		cmp.Compare(k.Protocol, o.Protocol),
	)
}

// String returns the key in the form "10.96.0.10:53/UDP"; a node port has the unspecified address
// of its family, as in "0.0.0.0:30080/TCP".
func (k FrontendKey) String() string {
	vip := k.VIP
	if k.NodePort() {
		vip = netip.IPv4Unspecified()
		if k.Family == IPv6 {
			vip = netip.IPv6Unspecified()
		}
	}
	return netip.AddrPortFrom(vip, k.Port).String() + "/" + k.Protocol.String()
}

func itoa(n uint16) string { return strconv.FormatUint(uint64(n), 10) }
