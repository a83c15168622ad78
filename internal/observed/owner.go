// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package observed

import (
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// The flags that hnsproxy and kube-proxy.exe set. An object with any other flag was created by
// another program.
const (
	ownFlags        = hnslb.DSR | hnslb.IPv6Enabled
	ownMappingFlags = hnslb.LocalRoutedVIP | hnslb.UseMux | hnslb.PreserveDIP | hnslb.VIPExternal
)

// A load balancer with one mapping is ours if it references no endpoint of another network and has
// only flags that we set. HNS stores no owner, so nothing better is available. A leftover of
// kube-proxy.exe looks exactly like ours; taking it over is intended.

// noForeignEndpoints returns whether no endpoint of a load balancer is on another network. It is
// true for a load balancer whose endpoints no longer exist, since that carries no traffic.
func noForeignEndpoints(lb hnslb.LoadBalancer, foreign map[hnslb.ID]bool) bool {
	return !slices.ContainsFunc(lb.Endpoints, func(id hnslb.ID) bool { return foreign[id] })
}

// ownSettings returns whether a load balancer has only flags that we set, or that this HNS adds on
// its own.
func (v *View) ownSettings(s Settings) bool {
	return s.Flags&^v.flags.loadBalancer&^ownFlags == 0 && s.MappingFlags&^v.flags.mapping&^ownMappingFlags == 0
}

// ownHalfMade returns whether a load balancer without mappings is ours, judged by its remaining
// settings.
func (v *View) ownHalfMade(lb hnslb.LoadBalancer, foreign map[hnslb.ID]bool) bool {
	return v.ownSettings(Settings{Flags: lb.Flags}) && len(lb.VIPs) <= 1 && noForeignEndpoints(lb, foreign)
}

// ownEndpoint returns whether an endpoint of our network is ours: a remote endpoint with the MAC
// that is derived from its address, or an unnamed one with a current or earlier MAC of the host
// (the endpoint of a cluster IP on an overlay).
func (v *View) ownEndpoint(e hnslb.Endpoint) bool {
	if !e.Remote || len(e.IPs) != 1 {
		return false
	}
	if sameMAC(e.MAC, hnslb.RemoteMAC(e.IPs[0])) {
		return true
	}
	return v.network.IsOverlay() && e.Unnamed() && (sameMAC(e.MAC, v.network.HostMAC) || v.hasFormerMAC(e))
}

// hasFormerMAC returns whether an endpoint carries an earlier MAC of the host.
func (v *View) hasFormerMAC(e hnslb.Endpoint) bool {
	return len(v.formerMACs) > 0 && v.formerMACs[strings.ToUpper(e.MAC)]
}

// ownSourceVIP returns whether an endpoint is the one that hnsproxy or kube-proxy.exe created for
// the source VIP. It is the only local endpoint that may be changed: those of network plugins have
// names.
func (v *View) ownSourceVIP(e hnslb.Endpoint) bool {
	return v.network.IsOverlay() && !e.Remote && len(e.IPs) == 1 && e.IPs[0] == v.sourceVIP && e.Unnamed()
}

func sameMAC(a, b string) bool { return a != "" && strings.EqualFold(a, b) }
