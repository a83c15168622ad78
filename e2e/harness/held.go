// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// balancerLine prints a load balancer: "10.96.0.10:53/UDP to 10.244.0.2,10.244.1.2* port 53 VIPExternal source=198.18.0.4".
// Backends are in order, a star marks local ones.
func balancerLine(frontend string, target int32, backends, notes []string) string {
	notes = keep(notes, func(n string) bool { return n != "" })
	slices.Sort(notes)
	text := fmt.Sprintf("%s to %s port %d", frontend, strings.Join(backends, ","), target)
	return strings.Join(append([]string{text}, notes...), " ")
}

// endpointLine prints an endpoint: "endpoint 10.244.2.2 remote via 198.18.0.5".
func endpointLine(ips, provider string, remote bool) string {
	text := "endpoint " + ips
	if !remote {
		return text + " local"
	}
	text += " remote"
	if provider != "" {
		text += " via " + provider
	}
	return text
}

// Held returns what an HNS holds, a line for each load balancer and each endpoint, in order.
func Held(state emulator.State) []string {
	byID := map[hnslb.ID]hnslb.Endpoint{}
	var out []string
	for _, e := range state.Endpoints {
		byID[e.ID] = e.Endpoint
		provider := ""
		if e.Remote && e.ProviderAddress.IsValid() {
			provider = e.ProviderAddress.String()
		}
		out = append(out, endpointLine(joined(e.IPs), provider, e.Remote))
	}
	for _, lb := range state.LoadBalancers {
		line := heldBalancer(lb.LoadBalancer, byID)
		if lb.NoRules {
			line += " without rules"
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

func heldBalancer(lb hnslb.LoadBalancer, byID map[hnslb.ID]hnslb.Endpoint) string {
	vips := "node"
	if len(lb.VIPs) > 0 {
		vips = joined(lb.VIPs)
	}
	if len(lb.Mappings) != 1 {
		return fmt.Sprintf("%s with %d mappings", vips, len(lb.Mappings))
	}
	m := lb.Mappings[0]
	var notes []string
	note := func(set bool, name string) {
		if set {
			notes = append(notes, name)
		}
	}
	note(lb.Flags&hnslb.DSR != 0, "DSR")
	note(lb.Flags&hnslb.IPv6Enabled != 0, "IPv6")
	note(m.Flags&hnslb.LocalRoutedVIP != 0, "LocalRoutedVIP")
	note(m.Flags&hnslb.VIPExternal != 0, "VIPExternal")
	note(m.Flags&^(hnslb.LocalRoutedVIP|hnslb.VIPExternal) != 0, fmt.Sprintf("flags=%d", m.Flags))
	note(m.Distribution == hnslb.SourceIP, "SourceIP")
	note(lb.SourceVIP.IsValid(), "source="+lb.SourceVIP.String())
	var backends []string
	for _, id := range lb.Endpoints {
		backends = append(backends, backendText(byID[id], lb.Flags&hnslb.IPv6Enabled != 0))
	}
	slices.Sort(backends)
	return balancerLine(fmt.Sprintf("%s:%d/%s", vips, m.ExternalPort, m.Protocol), int32(m.InternalPort), backends, notes)
}

// backendText names an endpoint by its address of the family of the load balancer.
func backendText(e hnslb.Endpoint, six bool) string {
	for _, ip := range e.IPs {
		if ip.Is6() == six {
			if e.Remote {
				return ip.String()
			}
			return ip.String() + "*"
		}
	}
	return "dangling"
}

func joined(ips []netip.Addr) string {
	var texts []string
	for _, ip := range ips {
		texts = append(texts, ip.String())
	}
	return strings.Join(texts, ",")
}
