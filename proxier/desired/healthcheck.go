// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"cmp"
	"net/netip"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"k8s.io/apimachinery/pkg/util/sets"
)

// HealthCheckPort is a port, in one family, on which a cloud load balancer checks whether this node
// has endpoints of a Service (healthCheckNodePort, KEP-1669).
type HealthCheckPort struct {
	Family hnslb.Family
	Port   uint16
	// LocalEndpoints is the number of ready endpoint addresses on this node.
	LocalEndpoints int
}

// HealthCheckPorts returns the health check node ports of one Service, one for each family. It does
// not depend on HNS, so that load balancers stop using a node without endpoints even while HNS is
// slow or unavailable.
//
// Addresses are counted, so that an endpoint with several ports counts once. Terminating endpoints
// still serve traffic, but do not count, so that no new traffic is sent to them (KEP-1669). Whether
// an endpoint is on this node is determined by its node name alone, as in kube-proxy.
func HealthCheckPorts(in services.Input, node string) []HealthCheckPort {
	if in.Service == nil || in.Service.HealthCheckNodePort == 0 {
		return nil
	}
	out := make([]HealthCheckPort, 0, len(in.Service.Families))
	for _, f := range in.Service.Families {
		out = append(out, HealthCheckPort{f, in.Service.HealthCheckNodePort, localReady(in.Slices, f, node)})
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
			if e.Ready && e.Node == node && node != "" && invalidReason(e.IP) == "" {
				ready.Insert(e.IP)
			}
		}
	}
	return ready.Len()
}

// Root is the HNS endpoint of the node itself, which is the backend for processes on the node. It
// belongs to the network plugin (law 10). The zero value means that it was not searched for, so
// that its absence is not reported.
type Root struct {
	searched bool
	ips      [2]netip.Addr
}

// FindRoot finds the endpoint with a name on a network. It does not search if name is empty.
func FindRoot(endpoints []hnslb.Endpoint, network hnslb.ID, name string) Root {
	r := Root{searched: name != ""}
	for _, e := range endpoints {
		if r.searched && e.Name == name && e.Network == network && !e.Remote {
			copy(r.ips[:], e.IPs)
		}
	}
	return r
}

// WithRoot returns a copy with a root endpoint.
func (e *Env) WithRoot(r Root) *Env {
	out := *e
	out.root = r
	return &out
}

// healthChecks adds the frontends that forward the ingress IPs of a family to the health check node
// port, or to /healthz of this proxy if the Service has none. Some clouds send their health checks
// to the ingress IP instead of the node; HNS drops them unless a load balancer accepts them.
func (c *computation) healthChecks(f hnslb.Family) {
	port := cmp.Or(c.svc.HealthCheckNodePort, c.env.options.HealthzPort)
	if port == 0 || !c.env.root.searched {
		return
	}
	var backends []candidate
	for _, ip := range ofFamily(c.env.root.ips[:], f) {
		if ip.IsValid() {
			backends = append(backends, candidate{Endpoint: services.Endpoint{IP: ip}, port: port, local: true})
		}
	}
	spec := frontendSpec{kind: HealthCheck, port: port}
	if c.svc.PreserveDestination && c.env.features.DSR {
		spec.mapping = hnslb.UseMux | hnslb.PreserveDIP
	}
	for _, spec.vip = range ofFamily(c.svc.IngressIPs, f) {
		c.add(services.Port{Protocol: hnslb.TCP}, f, spec, backends)
	}
}
