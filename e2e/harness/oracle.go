// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// oracle works out what HNS must hold. It shares no code with hnsproxy: it is written from the API's documentation, KEP-1669,
// KEP-2086, KEP-2433 and KEP-3015, and from what kube-proxy.exe writes for each kind of frontend. It knows what the tests
// use: no preserve-destination, no ipMode. Who has what several Services claim is in claims.go.
type oracle struct {
	snapshot
	overlay bool
	// dsr is --enable-dsr.
	dsr bool
	// affinity tells whether HNS has session affinity.
	affinity bool
	// node is the Node that hnsproxy runs on.
	node *corev1.Node
	// locals are the addresses that the network plugin has connected.
	locals map[string]bool
}

// frontend is one load balancer that a Service asks for.
type frontend struct {
	service  *corev1.Service
	giver    giver
	family   corev1.IPFamily
	vip      string // "" for a node port
	protocol corev1.Protocol
	port     int32
	// notes are what is set besides, in the words of balancerLine.
	notes    []string
	target   int32
	backends []string // a star marks a local one
}

// endpoint is a candidate for a frontend.
type endpoint struct {
	discoveryv1.Endpoint
	ip    string
	port  int32
	local bool
}

// lines returns what HNS must hold, in the words of Held.
func (o *oracle) lines() []string {
	var out []string
	remotes := map[string]string{}
	for _, f := range winners(o.frontends()) {
		if len(f.backends) == 0 || refused(f.vip) {
			continue
		}
		for _, b := range f.backends {
			if !strings.HasSuffix(b, "*") {
				remotes[b] = o.provider(b)
			}
		}
		if o.overlay && f.vip != "" && f.giver == apiServer {
			remotes[f.vip] = nodeIP(o.node)
		}
		slices.Sort(f.backends)
		name := fmt.Sprintf("%s:%d/%s", cmp.Or(f.vip, "node"), f.port, f.protocol)
		out = append(out, balancerLine(name, f.target, f.backends, f.notes))
	}
	for _, ip := range slices.Sorted(maps.Keys(remotes)) {
		out = append(out, endpointLine(ip, remotes[ip], true))
	}
	return out
}

// frontends returns the load balancers that all Services ask for, also those for which there is no backend.
func (o *oracle) frontends() []frontend {
	var out []frontend
	for i := range o.services {
		service := &o.services[i]
		if !proxied(service) {
			continue
		}
		for _, family := range service.Spec.IPFamilies {
			if o.overlay && family == corev1.IPv6Protocol {
				continue // Windows overlay networks carry IPv4 only
			}
			for _, port := range service.Spec.Ports {
				out = append(out, o.ofPort(service, family, port)...)
			}
		}
	}
	return out
}

// ofPort returns the load balancers that one Service port asks for in one family.
func (o *oracle) ofPort(service *corev1.Service, family corev1.IPFamily, port corev1.ServicePort) []frontend {
	if port.Protocol == corev1.ProtocolSCTP {
		return nil
	}
	spec := &service.Spec
	localInside := spec.InternalTrafficPolicy != nil && *spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal
	localOutside := spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	all := o.endpoints(service, family, port)

	var out []frontend
	add := func(f frontend, chosen []endpoint, dsr bool) {
		f.service, f.family, f.protocol = service, family, port.Protocol
		for note, set := range map[string]bool{
			"DSR": dsr, "IPv6": family == corev1.IPv6Protocol, "SourceIP": o.affinity && spec.SessionAffinity == corev1.ServiceAffinityClientIP,
		} {
			if set {
				f.notes = append(f.notes, note)
			}
		}
		o.program(&f, chosen)
		out = append(out, f)
	}
	for _, vip := range ofFamily(spec.ClusterIPs, family) {
		add(frontend{giver: apiServer, vip: vip, port: port.Port}, o.choose(all, localInside), o.dsr)
	}
	outside := o.choose(all, localOutside)
	anywhere := outside
	if len(outside) == 0 { // Pods here reach Pods elsewhere (KEP-1669); DSR keeps others out
		anywhere = o.choose(all, false)
	}
	for from, vips := range map[giver][]string{cloud: ingressIPs(service), author: spec.ExternalIPs} {
		for _, vip := range ofFamily(vips, family) {
			add(frontend{giver: from, vip: vip, port: port.Port, notes: []string{"VIPExternal"}}, anywhere, localOutside)
		}
	}
	if port.NodePort != 0 {
		add(frontend{giver: apiServer, port: port.NodePort, notes: []string{"LocalRoutedVIP", "VIPExternal"}}, outside, localOutside)
	}
	return out
}

func ingressIPs(service *corev1.Service) []string {
	var vips []string
	if service.Spec.Type == corev1.ServiceTypeLoadBalancer {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			vips = append(vips, ingress.IP)
		}
	}
	return vips
}

// endpoints returns the endpoints of a Service port, without those whose address no endpoint can have.
func (o *oracle) endpoints(service *corev1.Service, family corev1.IPFamily, port corev1.ServicePort) []endpoint {
	var out []endpoint
	for _, slice := range o.slicesOf(service, family) {
		for _, p := range slice.Ports {
			if *p.Name != port.Name || *p.Protocol != port.Protocol {
				continue
			}
			for _, e := range slice.Endpoints {
				if refused(e.Addresses[0]) {
					continue
				}
				local := e.NodeName != nil && *e.NodeName == o.node.Name
				out = append(out, endpoint{Endpoint: e, ip: e.Addresses[0], port: *p.Port, local: local})
			}
		}
	}
	return out
}

// choose returns the endpoints that may be used, of this node only or of all.
func (o *oracle) choose(all []endpoint, local bool) []endpoint {
	if local {
		all = keep(all, func(e endpoint) bool { return e.local })
	}
	ready := keep(all, func(e endpoint) bool { return *e.Conditions.Ready })
	if len(ready) == 0 {
		return keep(all, func(e endpoint) bool { return *e.Conditions.Serving && *e.Conditions.Terminating })
	}
	if local {
		return ready
	}
	for _, hinted := range []func(endpoint) (has, ours bool){o.hintedNode, o.hintedZone} {
		unhinted := keep(ready, func(e endpoint) bool { has, _ := hinted(e); return !has })
		ours := keep(ready, func(e endpoint) bool { _, ours := hinted(e); return ours })
		if len(unhinted) == 0 && len(ours) > 0 {
			return ours
		}
	}
	return ready
}

func (o *oracle) hintedNode(e endpoint) (has, ours bool) {
	if e.Hints == nil {
		return false, false
	}
	return len(e.Hints.ForNodes) > 0, slices.Contains(e.Hints.ForNodes, discoveryv1.ForNode{Name: o.node.Name})
}

func (o *oracle) hintedZone(e endpoint) (has, ours bool) {
	if e.Hints == nil {
		return false, false
	}
	zone := o.node.Labels[corev1.LabelTopologyZone]
	return len(e.Hints.ForZones) > 0, zone != "" && slices.Contains(e.Hints.ForZones, discoveryv1.ForZone{Name: zone})
}

// program adds what one load balancer can name of the endpoints: those with the commonest target port, the lowest of several,
// of the local ones those that are connected, and none whose address is needed otherwise.
func (o *oracle) program(f *frontend, endpoints []endpoint) {
	f.target = commonestPort(endpoints)
	outside := false
	for _, e := range endpoints {
		outside = outside || e.port == f.target && !e.local && !o.isPod(e.ip)
		switch {
		case e.port != f.target || o.taken(e.ip):
		case o.locals[e.ip]: // wherever the slice says that it is
			f.backends = append(f.backends, e.ip+"*")
		case !e.local:
			f.backends = append(f.backends, e.ip)
		}
	}
	switch {
	case o.overlay && outside: // only the node's own address is known out there
		f.notes = append(f.notes, "source="+nodeIP(o.node))
	case o.overlay:
		f.notes = append(f.notes, "source="+SourceVIP)
	}
}

// commonestPort returns the target port of most endpoints, the lowest of several, 0 if there are none.
func commonestPort(endpoints []endpoint) int32 {
	count := map[int32]int{}
	for _, e := range endpoints {
		count[e.port]++
	}
	commonest := int32(0)
	for _, port := range slices.Sorted(maps.Keys(count)) {
		if count[port] > count[commonest] {
			commonest = port
		}
	}
	return commonest
}

// isPod tells whether an address is in the pod range of a node.
func (o *oracle) isPod(ip string) bool {
	return slices.ContainsFunc(o.nodes, func(n corev1.Node) bool { return holds(n.Spec.PodCIDRs, ip) })
}

// provider returns the host behind an address on an overlay, "" on other networks.
func (o *oracle) provider(ip string) string {
	if !o.overlay {
		return ""
	}
	for i := range o.nodes {
		if n := &o.nodes[i]; nodeIP(n) == ip || holds(n.Spec.PodCIDRs, ip) {
			return nodeIP(n)
		}
	}
	return nodeIP(o.node)
}

func holds(cidrs []string, ip string) bool {
	addr := netip.MustParseAddr(ip)
	return slices.ContainsFunc(cidrs, func(cidr string) bool { return netip.MustParsePrefix(cidr).Contains(addr) })
}

func nodeIP(n *corev1.Node) string {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address
		}
	}
	return ""
}

func ofFamily(ips []string, family corev1.IPFamily) []string {
	return keep(ips, func(ip string) bool { return familyOf(ip) == family })
}

// keep returns the elements for which is holds, in a slice of its own.
func keep[T any](all []T, is func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(all), func(e T) bool { return !is(e) })
}
