// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// giver is who gave an address to a Service. Of several Services with one address, protocol and port the one with the lowest
// giver has it.
type giver int

const (
	apiServer giver = iota // cluster IPs and node ports
	cloud                  // ingress IPs
	author                 // external IPs: whoever wrote the Service
)

// winners leaves of all frontends with one family, address, protocol and port the one that is served: by who gave the address, then
// by the age of the Service, then by its name.
func winners(all []frontend) []frontend {
	all = slices.SortedStableFunc(slices.Values(all), func(a, b frontend) int {
		x, y := a.service, b.service
		return cmp.Or(cmp.Compare(a.giver, b.giver), x.CreationTimestamp.Compare(y.CreationTimestamp.Time),
			strings.Compare(x.Namespace, y.Namespace), strings.Compare(x.Name, y.Name))
	})
	taken := map[string]bool{}
	return keep(all, func(f frontend) bool {
		key := fmt.Sprintf("%s %s %s %d", f.family, f.vip, f.protocol, f.port)
		first := !taken[key]
		taken[key] = true
		return first
	})
}

// taken tells whether an address is no backend on this node, since HNS needs its endpoint for something else: a cluster IP, the
// source VIP, or a Pod that the network plugin may yet make in the node's own part of an overlay.
func (o *oracle) taken(ip string) bool {
	if slices.ContainsFunc(o.services, func(s corev1.Service) bool { return proxied(&s) && slices.Contains(s.Spec.ClusterIPs, ip) }) {
		return true
	}
	return o.overlay && !o.locals[ip] && (ip == SourceVIP || holds(o.node.Spec.PodCIDRs, ip))
}

// refused tells whether an address is neither an endpoint nor a VIP, whoever wrote it.
func refused(ip string) bool {
	addr, err := netip.ParseAddr(ip)
	return err == nil && slices.ContainsFunc(prefixes(
		"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/127", "fe80::/10", "ff00::/8",
	), func(p netip.Prefix) bool { return p.Contains(addr) })
}
