// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"net/netip"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/apimachinery/pkg/util/sets"
)

// HealthCheck is a port on which a load balancer asks, in one family, whether this node
// has endpoints of a Service (healthCheckNodePort, KEP-1669).
type HealthCheck struct {
	Family hnslb.Family
	Port   uint16
	// LocalEndpoints is how many ready addresses the Service has on this node.
	LocalEndpoints int
}

// HealthChecks returns the health-check node ports of one Service, one for each of its
// families. It asks nothing of HNS, so that a load balancer learns of a node without
// endpoints also while HNS is slow or away.
//
// Counted are addresses: one that serves several ports is one. Draining ones serve those
// who come all the same, but do not count, so that nobody is sent to them any more
// (KEP-1669). Whether an address is on this node is what the slice says of it alone, as in
// kube-proxy.
func HealthChecks(in services.Input, node string) []HealthCheck {
	if in.Service == nil || in.Service.HealthCheckNodePort == 0 {
		return nil
	}
	out := make([]HealthCheck, 0, len(in.Service.Families))
	for _, f := range in.Service.Families {
		out = append(out, HealthCheck{f, in.Service.HealthCheckNodePort, localReady(in.Slices, f, node)})
	}
	return out
}

func localReady(slices []*services.Slice, f hnslb.Family, node string) int {
	ready := sets.New[netip.Addr]()
	for _, s := range slices {
		if s.Family != f || len(s.Ports) == 0 {
			continue
		}
		for _, e := range s.Endpoints {
			if e.Ready && e.Node == node && node != "" {
				ready.Insert(e.IP)
			}
		}
	}
	return ready.Len()
}
