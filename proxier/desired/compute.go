// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// Compute returns the frontends of one Service, in a fixed order and each key once. Frontends that
// cannot be programmed are included, with the reason.
func Compute(in services.Input, env *Env) []*Frontend {
	if in.Service == nil {
		return nil
	}
	c := computation{in: in, svc: in.Service, env: env, seen: map[hnslb.FrontendKey]bool{}}
	for _, p := range c.svc.Ports {
		for _, f := range c.svc.Families {
			c.port(p, f)
		}
	}
	for _, f := range c.svc.Families {
		c.healthChecks(f)
	}
	return c.out
}

// computation is the state of one call of Compute.
type computation struct {
	in   services.Input
	svc  *services.Service
	env  *Env
	seen map[hnslb.FrontendKey]bool
	out  []*Frontend
}

// frontendSpec is what distinguishes one type of frontend from another. It contains data only (law
// 3; the table is in proxier/README.md, What a frontend becomes).
type frontendSpec struct {
	kind    Kind
	vip     netip.Addr
	port    uint16
	local   bool // local endpoints only
	dsr     bool
	mapping hnslb.MappingFlags
	limits  []Note
	// blocked is why the frontend is not programmed, whatever its endpoints.
	blocked Note
	// shortCut lets pods of this node reach all endpoints while none of them is local.
	shortCut bool
}

// port adds the frontends of one Service port in one family.
func (c *computation) port(p services.Port, f hnslb.Family) {
	var eps usableEndpoints
	var refused []Note
	if p.Protocol != hnslb.SCTP {
		var all []candidate
		all, refused = c.env.allowedEndpoints(candidates(c.in, p, f, c.env.node))
		eps = selectEndpoints(all, c.env.node)
	}
	for _, spec := range c.frontendSpecs(p, f) {
		spec.limits = append(slices.Clip(spec.limits), refused...)
		cs := eps.cluster
		if spec.local && (len(eps.local) > 0 || !spec.shortCut) {
			cs = eps.local
		}
		c.add(p, f, spec, cs)
	}
}

// add adds a frontend, unless its key exists: an address may be both cluster IP and external IP.
func (c *computation) add(p services.Port, f hnslb.Family, spec frontendSpec, cs []candidate) {
	key := hnslb.FrontendKey{Family: f, VIP: spec.vip, Protocol: p.Protocol, Port: spec.port}
	if c.seen[key] {
		return
	}
	c.seen[key] = true
	c.out = append(c.out, c.frontend(key, p, spec, cs))
}

// frontendSpecs lists the frontend types of one Service port in one family.
func (c *computation) frontendSpecs(p services.Port, f hnslb.Family) []frontendSpec {
	var out []frontendSpec
	for _, vip := range ofFamily(c.svc.ClusterIPs, f) {
		out = append(out, frontendSpec{kind: ClusterIP, vip: vip, port: p.Port, local: c.svc.InternalLocal,
			dsr: c.env.options.DSR && c.env.features.DSR})
	}
	return append(out, c.externalSpecs(p, f)...)
}

// externalSpecs lists the frontend types for clients outside the cluster.
func (c *computation) externalSpecs(p services.Port, f hnslb.Family) []frontendSpec {
	var out []frontendSpec
	svc, dsr := c.svc, c.env.features.DSR
	// Policy Local and preserve-destination need DSR. On an HNS without it all endpoints are used
	// instead of none, and the frontend reports that.
	var limits []Note
	if (svc.ExternalLocal || svc.PreserveDestination) && !dsr {
		limits = []Note{{NoLocalPolicy, fmt.Sprintf("HNS %s has no DSR: externalTrafficPolicy Local and preserve-destination "+
			"are ignored; traffic goes to all endpoints and the client source IP is lost", c.env.features.Version)}}
	}
	local := svc.ExternalLocal && dsr
	preserve := svc.PreserveDestination && dsr
	if p.NodePort != 0 {
		out = append(out, frontendSpec{kind: NodePort, port: p.NodePort, local: local || preserve, dsr: local,
			mapping: hnslb.LocalRoutedVIP | hnslb.VIPExternal, limits: limits, blocked: c.env.nodePortExcluded(f)})
	}
	// For clients in the cluster, policy Local of an address that is not the node's own means all
	// endpoints (KEP-1669, k8s issue 109780). With DSR this works if no endpoint is local: packets
	// of pods are rewritten at the pod's own port, and packets from outside find no backend here
	// (docs/hns.md, Rules in VFP). If one is local, HNS cannot distinguish pods from other clients,
	// and all of them use the local endpoints. preserve-destination applies to pods of this node
	// only.
	for _, vip := range ofFamily(svc.ExternalIPs, f) {
		if slices.Contains(svc.IngressIPs, vip) {
			// The ingress IP frontend covers this address; source ranges and preserve-destination
			// apply to it.
			continue
		}
		out = append(out, frontendSpec{kind: ExternalIP, vip: vip, port: p.Port, local: local, dsr: local,
			mapping: hnslb.VIPExternal, limits: limits, shortCut: c.env.shortCut(local)})
	}
	ingress := frontendSpec{kind: IngressIP, port: p.Port, local: local || preserve, dsr: local || preserve,
		mapping: hnslb.VIPExternal, limits: limits, shortCut: c.env.shortCut(local && !preserve)}
	c.applySourceRanges(&ingress, f)
	if preserve {
		ingress.mapping |= hnslb.UseMux | hnslb.PreserveDIP
	}
	for _, vip := range ofFamily(svc.IngressIPs, f) {
		ingress.vip = vip
		out = append(out, ingress)
	}
	return out
}

// applySourceRanges handles loadBalancerSourceRanges, which HNS cannot enforce: load balancers have
// no source filter. ACLs apply to endpoints, which belong to the network plugin (law 10), and
// without DSR they see the node's address as source.
func (c *computation) applySourceRanges(spec *frontendSpec, f hnslb.Family) {
	if !slices.Contains(c.svc.Restricted, f) {
		return
	}
	if c.env.options.SkipSourceRanges {
		spec.blocked = Note{NoSourceRanges, "Windows cannot enforce loadBalancerSourceRanges, and --hns-unenforced-source-ranges=skip " +
			"leaves the address unprogrammed"}
		return
	}
	spec.limits = append(slices.Clip(spec.limits), Note{NoSourceRanges, "loadBalancerSourceRanges is not enforced on Windows nodes: any client " +
		"can connect to this address; filter in front of the nodes, or set --hns-unenforced-source-ranges=skip"})
}

// frontend builds a frontend from its spec and endpoints. All types of frontends share this path.
func (c *computation) frontend(key hnslb.FrontendKey, p services.Port, spec frontendSpec, cs []candidate) *Frontend {
	out := &Frontend{
		Key:          key,
		Kind:         spec.kind,
		Service:      c.svc.Name,
		Port:         p.Name,
		UID:          c.svc.UID,
		Created:      c.svc.Created,
		Critical:     critical(c.svc.Name, p),
		MappingFlags: spec.mapping,
		Limits:       spec.limits,
		Local:        spec.local,
	}
	refused := c.env.refuseVIP(spec.kind, key.VIP)
	out.OwnsVIP = spec.kind == ClusterIP && refused.Reason == ""
	out.VIPEndpoint = out.OwnsVIP && c.env.network.IsOverlay()
	if refused.Reason != "" {
		out.Limits = nil // they do not apply to a frontend that is not programmed
	}
	if key.Family == hnslb.IPv6 {
		out.Flags |= hnslb.IPv6Enabled
	}
	if spec.dsr {
		out.Flags |= hnslb.DSR
	}
	c.backends(out, cs)
	if c.svc.ClientIPAffinity && spec.kind != HealthCheck {
		c.affinity(out)
	}
	out.SourceVIP = c.env.sourceVIP(key.Family, out.Backends)
	for _, out.Blocked = range []Note{refused, spec.blocked, c.blocked(out)} {
		if out.Blocked.Reason != "" {
			break
		}
	}
	if out.Blocked.Reason != "" {
		out.Backends = nil
	}
	return out
}

// backends sets the backends to the endpoints that fit into one load balancer.
func (c *computation) backends(f *Frontend, cs []candidate) {
	samePort := withCommonPort(cs)
	if len(samePort) < len(cs) {
		f.limit(MixedPorts, "HNS supports one target port per load balancer: %d endpoints with a target port other than %d are not programmed",
			len(cs)-len(samePort), samePort[0].port)
	}
	limit := c.env.features.MaxEndpoints
	selected := limitEndpoints(samePort, limit, c.env.node.Name)
	if len(selected) < len(samePort) {
		f.limit(TooManyEndpoints, "HNS %s supports %d endpoints per load balancer: %d of %d are not programmed on this node",
			c.env.features.Version, limit, len(samePort)-len(selected), len(samePort))
	}
	f.Backends = make([]Backend, 0, len(selected))
	for _, e := range selected {
		f.InternalPort = e.port
		f.Backends = append(f.Backends, Backend{IP: e.IP, Pod: e.Pod, Local: e.local})
	}
}

// affinity sets sessionAffinity ClientIP as far as HNS supports it: by a hash of the client
// address, without a timeout.
func (c *computation) affinity(f *Frontend) {
	if !c.env.features.SessionAffinity {
		f.limit(NoAffinity, "HNS %s does not support session affinity (requires 12.0, Windows Server 2022)", c.env.features.Version)
		return
	}
	f.Distribution = hnslb.SourceIP
	if s := c.svc.AffinityTimeout; s != 0 {
		f.limit(NoAffinityTimeout, "HNS session affinity does not expire: timeoutSeconds %d has no effect", s)
	}
}

// limit adds a limit. It copies the slice, since frontends of one spec share it.
func (f *Frontend) limit(r Reason, format string, args ...any) {
	f.Limits = append(slices.Clip(f.Limits), Note{r, fmt.Sprintf(format, args...)})
}

// blocked returns why a frontend cannot be programmed, the zero Note if it can.
func (c *computation) blocked(f *Frontend) Note {
	switch {
	case f.Key.Protocol == hnslb.SCTP:
		return Note{NoProtocol, "HNS supports TCP and UDP only"}
	case f.Key.Family == hnslb.IPv6 && c.env.network.IsOverlay():
		return Note{NoIPv6, "Windows overlay networks support IPv4 only (KEP-5100); use an L2Bridge network for dual-stack"}
	case f.Key.Family == hnslb.IPv6 && !c.env.features.IPv6:
		return Note{NoIPv6, fmt.Sprintf("HNS %s does not support IPv6 load balancing (requires 11.10)", c.env.features.Version)}
	case len(f.Backends) == 0 && f.Kind == HealthCheck:
		return Note{NoRootEndpoint, fmt.Sprintf("HNS network %s has no %s endpoint named %q for the node, so health checks on this address "+
			"fail; set --root-hnsendpoint-name to the node endpoint created by the network plugin",
			c.env.network.Name, f.Key.Family, c.env.options.RootEndpoint)}
	case len(f.Backends) == 0:
		return Note{NoEndpoints, "no ready or serving endpoints"}
	case c.env.network.IsOverlay() && !f.SourceVIP.IsValid():
		return Note{NoSourceVIP, "an overlay network requires a source VIP; set --source-vip to an address reserved by the network plugin"}
	}
	return Note{}
}

// critical returns whether a Service must be programmed before all others: without cluster DNS and
// the API server nothing else on the node can start.
func critical(name services.Name, p services.Port) bool {
	switch name.Namespace {
	case "default":
		return name.Name == "kubernetes"
	case "kube-system":
		return p.Port == 53
	}
	return false
}

func ofFamily(ips []netip.Addr, f hnslb.Family) []netip.Addr {
	var out []netip.Addr
	for _, ip := range ips {
		if hnslb.FamilyOf(ip) == f {
			out = append(out, ip)
		}
	}
	return out
}
