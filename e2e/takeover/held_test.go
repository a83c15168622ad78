// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// held returns what HNS holds without its IDs, a line for each object, in order.
func held(state emulator.State) []string {
	names := map[hnslb.ID]string{}
	var lines []string
	for _, e := range state.Endpoints {
		kind := "local"
		if e.Remote {
			kind = "remote"
		}
		names[e.ID] = fmt.Sprintf("%v %s", e.IPs, kind)
		line := fmt.Sprintf("endpoint %s", names[e.ID])
		if e.Remote { // HNS makes up the MAC of a local one
			line += " " + strings.ToUpper(e.MAC)
		}
		if e.ProviderAddress.IsValid() {
			line += " via " + e.ProviderAddress.String()
		}
		lines = append(lines, line)
	}
	for _, lb := range state.LoadBalancers {
		lines = append(lines, balancerLine(lb.LoadBalancer, names))
	}
	slices.Sort(lines)
	return lines
}

func balancerLine(lb hnslb.LoadBalancer, names map[hnslb.ID]string) string {
	var backends []string
	for _, id := range lb.Endpoints {
		name, ok := names[id]
		if !ok {
			name = "an endpoint that is gone"
		}
		backends = append(backends, name)
	}
	slices.Sort(backends)
	return fmt.Sprintf("balancer %v %+v flags %d source %v to %s", lb.VIPs, lb.Mappings, lb.Flags, lb.SourceVIP, strings.Join(backends, ", "))
}

// without leaves out the lines of an address that has gone.
func without(lines []string, gone ...netip.Addr) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		return slices.ContainsFunc(gone, func(ip netip.Addr) bool {
			return strings.HasPrefix(line, "endpoint ["+ip.String()+"]") || strings.HasPrefix(line, "balancer ["+ip.String()+"]")
		})
	})
}
