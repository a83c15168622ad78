// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// String prints the step as one line, without IDs.
func (s Step) String() string {
	switch s.Op {
	case CreateEndpoint:
		kind := "local"
		if s.Endpoint.Remote {
			kind = "remote"
		}
		line := fmt.Sprintf("create endpoint %s %s mac %s", s.Endpoint.IPs[0], kind, s.Endpoint.MAC)
		if pa := s.Endpoint.ProviderAddress; pa.IsValid() {
			line += " via " + pa.String()
		}
		return line
	case DeleteEndpoint:
		return fmt.Sprintf("delete endpoint %s", s.Endpoint.IPs[0])
	case CreateLoadBalancer:
		return "create loadbalancer " + s.loadBalancer()
	case UpdateLoadBalancer:
		return "update loadbalancer " + s.loadBalancer()
	case DeleteLoadBalancer:
		return "delete loadbalancer " + s.Key.String()
	}
	return "unknown step"
}

func (s Step) loadBalancer() string {
	f := s.Frontend
	line := fmt.Sprintf("%s port %d to %s", s.Key, f.InternalPort, join(s.Backends))
	if flags := FlagNames(f.LoadBalancer()); flags != "" {
		line += " flags " + flags
	}
	if f.SourceVIP.IsValid() {
		line += " source " + f.SourceVIP.String()
	}
	return line
}

func join(ips []netip.Addr) string {
	texts := make([]string, 0, len(ips))
	for _, ip := range ips {
		texts = append(texts, ip.String())
	}
	return strings.Join(texts, ",")
}

// FlagNames prints the flags, mapping flags and distribution of a load balancer with one
// mapping, comma-separated.
func FlagNames(lb hnslb.LoadBalancer) string {
	m := lb.Mappings[0]
	var names []string
	add := func(on bool, name string) {
		if on {
			names = append(names, name)
		}
	}
	add(lb.Flags&hnslb.DSR != 0, "dsr")
	add(lb.Flags&hnslb.IPv6Enabled != 0, "ipv6")
	add(m.Flags&hnslb.LocalRoutedVIP != 0, "local-routed")
	add(m.Flags&hnslb.UseMux != 0, "mux")
	add(m.Flags&hnslb.PreserveDIP != 0, "preserve-dip")
	add(m.Flags&hnslb.VIPExternal != 0, "external")
	add(m.Distribution == hnslb.SourceIP, "source-ip")
	return strings.Join(names, ",")
}
