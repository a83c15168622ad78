// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"net/netip"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// Host is this node as an overlay knows it: one of its addresses, which is the provider address
// of what we make for ourselves, and the MAC of the adapter that carries it. Both come from one
// adapter, so that they always belong together.
type Host struct {
	IP  netip.Addr
	MAC string
}

// Complete tells whether both are known.
func (h Host) Complete() bool { return h.IP.IsValid() && h.MAC != "" }

// HostOf chooses the address: the node's own, as kube-proxy does, which is that of the Node
// object or of --bind-address. If no adapter carries it, the network's management IP is the
// better guess.
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
