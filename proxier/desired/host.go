// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"net/netip"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// Host is this node on an overlay network: one of its addresses, which is the provider address of
// our own endpoints, and the MAC of the adapter with that address. Both come from the same adapter.
type Host struct {
	IP  netip.Addr
	MAC string
}

// Complete returns whether both are known.
func (h Host) Complete() bool { return h.IP.IsValid() && h.MAC != "" }

// HostOf returns the host of an overlay network. Like kube-proxy it uses the address of the Node
// object or of --bind-address. If no adapter has that address, the management IP of the network is
// used.
func HostOf(node services.Node, n hnslb.Network) Host {
	own := node.IP(hnslb.IPv4)
	for _, a := range n.Adapters {
		if a.IP == own {
			return Host{own, a.MAC}
		}
	}
	if own.IsValid() && len(n.Adapters) == 0 {
		return Host{own, n.HostMAC}
	}
	return Host{n.ManagementIP, n.HostMAC}
}
