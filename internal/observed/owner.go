// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package observed

import (
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// The flags that hnsproxy and kube-proxy.exe write. An object with any other flag was
// made by somebody else.
const (
	ownFlags        = hnslb.DSR | hnslb.IPv6Enabled
	ownMappingFlags = hnslb.LocalRoutedVIP | hnslb.UseMux | hnslb.PreserveDIP | hnslb.VIPExternal
)

// A load balancer with one mapping is ours when it is clean and has our shape. HNS keeps no
// owner on it, so that has to do. A leftover of kube-proxy.exe looks exactly like ours;
// taking it over is intended.

// noForeignEndpoints tells whether no endpoint of a load balancer is on another network. One whose
// endpoints are all gone carries no traffic, and is clean.
func noForeignEndpoints(lb hnslb.LoadBalancer, foreign map[hnslb.ID]bool) bool {
	return !slices.ContainsFunc(lb.Endpoints, func(id hnslb.ID) bool { return foreign[id] })
}

// ownSettings tells whether a load balancer has flags among those we use, but for those that
// HNS shows by itself.
func (v *View) ownSettings(s Settings) bool {
	return s.Flags&^v.flags.loadBalancer&^ownFlags == 0 && s.MappingFlags&^v.flags.mapping&^ownMappingFlags == 0
}

// ownHalfMade tells whether a half-made load balancer, which has no mapping, is ours, by what is
// left to tell.
func (v *View) ownHalfMade(lb hnslb.LoadBalancer, foreign map[hnslb.ID]bool) bool {
	return v.ownSettings(Settings{Flags: lb.Flags}) && len(lb.VIPs) <= 1 && noForeignEndpoints(lb, foreign)
}

// ownEndpoint tells whether an endpoint of our network is ours: remote, with the made-up
// MAC of its address, or with the host's MAC, now or before, and no name (the endpoint of a
// cluster IP on an overlay).
func (v *View) ownEndpoint(e hnslb.Endpoint) bool {
	if !e.Remote || len(e.IPs) != 1 {
		return false
	}
	if sameMAC(e.MAC, hnslb.RemoteMAC(e.IPs[0])) {
		return true
	}
	return v.network.IsOverlay() && e.Unnamed() && (sameMAC(e.MAC, v.network.HostMAC) || v.hasFormerMAC(e))
}

// hasFormerMAC tells whether an endpoint carries a MAC that the host had before.
func (v *View) hasFormerMAC(e hnslb.Endpoint) bool {
	return len(v.formerMACs) > 0 && v.formerMACs[strings.ToUpper(e.MAC)]
}

// ownSourceVIP tells whether an endpoint is the one that hnsproxy or kube-proxy.exe made for
// the source VIP, the only local endpoint that they may touch: network plugins name theirs.
func (v *View) ownSourceVIP(e hnslb.Endpoint) bool {
	return v.network.IsOverlay() && !e.Remote && len(e.IPs) == 1 && e.IPs[0] == v.sourceVIP && e.Unnamed()
}

func sameMAC(a, b string) bool { return a != "" && strings.EqualFold(a, b) }
