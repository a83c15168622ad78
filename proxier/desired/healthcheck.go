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

// HealthCheckPort is a port on which a load balancer asks, in one family, whether this node
// has endpoints of a Service (healthCheckNodePort, KEP-1669).
type HealthCheckPort struct {
	Family hnslb.Family
	Port   uint16
	// LocalEndpoints is how many ready addresses the Service has on this node.
	LocalEndpoints int
}

// HealthCheckPorts returns the health-check node ports of one Service, one for each of its
// families. It asks nothing of HNS, so that a load balancer learns of a node without
// endpoints also while HNS is slow or away.
//
// Counted are addresses: one that serves several ports is one. Draining ones serve those
// who come all the same, but do not count, so that nobody is sent to them any more
// (KEP-1669). Whether an address is on this node is what the slice says of it alone, as in
// kube-proxy.
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

// Root is the HNS endpoint of the node itself, which stands for the node's own programs as
// a backend. It belongs to the network plugin (law 10). The zero value means that nobody
// has looked for it, so that nothing is said of what it would be needed for.
type Root struct {
	searched bool
	ips      [2]netip.Addr
}

// FindRoot looks for the endpoint of that name among those of a network. Without a name
// nobody looks.
func FindRoot(endpoints []hnslb.Endpoint, network hnslb.ID, name string) Root {
	r := Root{searched: name != ""}
	for _, e := range endpoints {
		if r.searched && e.Name == name && e.Network == network && !e.Remote {
			copy(r.ips[:], e.IPs)
		}
	}
	return r
}

// WithRoot returns the same environment with a root endpoint.
func (e *Env) WithRoot(r Root) *Env {
	out := *e
	out.root = r
	return &out
}

// healthChecks adds the frontends that lead from the ingress IPs of a family to the
// health-check node port, or where the Service has none to /healthz of this proxy. Some
// clouds send their health checks there and not to the node; the packets then end in HNS,
// which needs a load balancer for them.
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
