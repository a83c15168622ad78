// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package place

import (
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
)

// Demo is the network that a network plugin would have made: what the Node object, if there is
// one, says of this node, and made-up values for the rest:
//
//	subnet         10.244.1.0/24, or the node's podCIDRs
//	management IP  10.0.0.4, or the node's InternalIP
//	other nodes    10.244.0.0/24 behind 10.0.0.10, 10.244.2.0/24 behind 10.0.0.12, and so
//	               on to 10.244.9.0/24, for an overlay; other networks are routed
//	host MAC       one that Hyper-V might give
func Demo(name, kind string, node *corev1.Node) hnslb.Network {
	n := hnslb.Network{ID: hnslb.NewID(name), Name: name, Type: kind, HostMAC: "00-15-5D-0A-00-04"}
	if node != nil {
		fromNode(&n, node)
	}
	if !n.ManagementIP.IsValid() {
		n.ManagementIP = netip.MustParseAddr("10.0.0.4")
	}
	if len(n.Subnets) == 0 {
		n.Subnets = []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}
	}
	if !n.IsOverlay() {
		return n
	}
	for i := range byte(10) {
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, i, 0}), 24)
		if !slices.ContainsFunc(n.Subnets, subnet.Overlaps) {
			n.Remotes = append(n.Remotes, hnslb.RemoteSubnet{
				Prefix: subnet, ProviderAddress: netip.AddrFrom4([4]byte{10, 0, 0, 10 + i}),
			})
		}
	}
	return n
}

// fromNode takes over what the Node object says. What does not parse is left out: the
// informer's handler has complained about it.
func fromNode(n *hnslb.Network, node *corev1.Node) {
	known, _ := services.ReadNode(node)
	n.ManagementIP = known.IP(hnslb.IPv4)
	for _, text := range node.Spec.PodCIDRs {
		if subnet, err := netip.ParsePrefix(text); err == nil {
			n.Subnets = append(n.Subnets, subnet.Masked())
		}
	}
}
