// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"net"
	"net/netip"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/proxy"
)

// choice is what upstream's proxies choose for one Service port in one family.
type choice struct {
	port proxy.ServicePort
	// all endpoints of the Service port, usable or not.
	all []proxy.Endpoint
	// cluster and local are the usable ones for either traffic policy.
	cluster, local []proxy.Endpoint
	// hasAny: somewhere in the cluster there is a usable one.
	hasAny bool
}

// verdict is what upstream's proxies do with a packet for one address of a Service port.
type verdict string

const (
	forward verdict = "forward"
	// drop: policy Local, and endpoints on other nodes only (KEP-2086 for cluster IPs).
	drop verdict = "drop"
	// reject: no endpoints anywhere.
	reject verdict = "reject"
)

// face is one address of a Service port, and what becomes of packets to it.
type face struct {
	choice
	kind    desired.Kind
	key     hnslb.FrontendKey
	local   bool // traffic policy Local
	verdict verdict
	// endpoints that packets are forwarded to; for an external address those from outside
	// the cluster. Pods and processes of this node take the short cut to choice.cluster.
	endpoints []proxy.Endpoint

	// What HNS is expected to hold, filled in by the rules: see rules_test.go.
	blocked desired.Reason
	limits  []desired.Reason
}

// asked is upstream's state after a case, as each of its proxies keeps it per family.
type asked struct {
	ports     proxy.ServicePortMap
	endpoints proxy.EndpointsMap
}

// ask tells upstream's trackers what the watches say.
func ask(c *testCase, family corev1.IPFamily) asked {
	out := asked{proxy.ServicePortMap{}, proxy.EndpointsMap{}}
	tracker := proxy.NewServiceChangeTracker(family, nil, nil)
	tracker.Update(nil, c.service)
	out.ports.Update(tracker)
	endpoints := proxy.NewEndpointsChangeTracker(family, thisNode, nil, nil)
	for i, ch := range c.history {
		if i == len(c.history)/2 {
			// A sync between two changes: later ones meet what is applied already.
			out.endpoints.Update(endpoints)
		}
		endpoints.EndpointSliceUpdate(ch.slice, ch.removed)
	}
	out.endpoints.Update(endpoints)
	return out
}

// choose returns what upstream chooses for a Service port, and whether it knows the port.
func (a asked) choose(c *testCase, p *corev1.ServicePort) (choice, bool) {
	name := proxy.ServicePortName{
		NamespacedName: types.NamespacedName{Namespace: namespace, Name: service}, Port: p.Name, Protocol: p.Protocol}
	port, ok := a.ports[name]
	if !ok {
		return choice{}, false
	}
	out := choice{port: port, all: a.endpoints[name]}
	out.cluster, out.local, _, out.hasAny = proxy.CategorizeEndpoints(out.all, port, thisNode, c.node.Labels)
	return out, true
}

// bothPolicies is a Service port that asks for endpoints of both policies.
type bothPolicies struct{ proxy.ServicePort }

func (bothPolicies) UsesClusterEndpoints() bool { return true }
func (bothPolicies) UsesLocalEndpoints() bool   { return true }

// localOf returns what upstream would choose under policy Local.
func (ch choice) localOf(c *testCase) []proxy.Endpoint {
	_, local, _, _ := proxy.CategorizeEndpoints(ch.all, bothPolicies{ch.port}, thisNode, c.node.Labels)
	return local
}

// faces returns the addresses of the Service, in the order of desired.Compute: by Service
// port, then family.
func faces(c *testCase, observe func(choice)) []*face {
	var out []*face
	families := bothFamilies(c)
	state := map[corev1.IPFamily]asked{}
	for _, f := range families {
		state[f] = ask(c, f)
	}
	for i := range c.service.Spec.Ports {
		for _, f := range families {
			if ch, ok := state[f].choose(c, &c.service.Spec.Ports[i]); ok {
				observe(ch)
				out = append(out, ch.faces(f)...)
			}
		}
	}
	return out
}

// bothFamilies returns the families, the Service's primary one first.
func bothFamilies(c *testCase) []corev1.IPFamily {
	if ip := net.ParseIP(c.service.Spec.ClusterIP); ip != nil && ip.To4() == nil {
		return []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
	}
	return []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
}

// theirHealth returns the health-check node ports that upstream's proxies serve, and the
// ready local endpoints that they count.
func theirHealth(c *testCase, count tally) []desired.HealthCheckPort {
	var out []desired.HealthCheckPort
	name := types.NamespacedName{Namespace: namespace, Name: service}
	for _, f := range bothFamilies(c) {
		a := ask(c, f)
		port, ok := a.ports.HealthCheckNodePorts()[name]
		if !ok {
			continue
		}
		n := a.endpoints.LocalReadyEndpoints()[name]
		count.when(n > 0, healthy)
		count.when(n == 0, unhealthy)
		out = append(out, desired.HealthCheckPort{Family: family(f), Port: port, LocalEndpoints: n})
	}
	return out
}

func family(f corev1.IPFamily) hnslb.Family {
	if f == corev1.IPv6Protocol {
		return hnslb.IPv6
	}
	return hnslb.IPv4
}

// faces lists the addresses of one Service port, with the verdicts of upstream's nftables
// and iptables proxies: they forward to the endpoints of the traffic policy, drop when
// policy Local has none here, and reject when there is none at all.
func (ch choice) faces(f corev1.IPFamily) []*face {
	p := ch.port
	var out []*face
	add := func(kind desired.Kind, ip net.IP, port int, local bool) {
		out = append(out, ch.face(kind, frontendKey(f, ip, p.Protocol(), port), local))
	}
	add(desired.ClusterIP, p.ClusterIP(), p.Port(), p.InternalPolicyLocal())
	if p.NodePort() != 0 {
		add(desired.NodePort, nil, p.NodePort(), p.ExternalPolicyLocal())
	}
	for _, ip := range p.ExternalIPs() {
		add(desired.ExternalIP, ip, p.Port(), p.ExternalPolicyLocal())
	}
	for _, ip := range p.LoadBalancerVIPs() {
		add(desired.IngressIP, ip, p.Port(), p.ExternalPolicyLocal())
	}
	return out
}

func (ch choice) face(kind desired.Kind, key hnslb.FrontendKey, local bool) *face {
	out := &face{choice: ch, kind: kind, key: key, local: local, verdict: forward, endpoints: ch.cluster}
	if local {
		out.endpoints = ch.local
	}
	switch {
	case !ch.hasAny:
		out.verdict = reject
	case local && len(ch.local) == 0:
		out.verdict = drop
	}
	return out
}

func frontendKey(f corev1.IPFamily, ip net.IP, p corev1.Protocol, port int) hnslb.FrontendKey {
	key := hnslb.FrontendKey{Family: family(f), Port: uint16(port)}
	if addr, ok := netip.AddrFromSlice(ip); ok {
		key.VIP = addr.Unmap()
	}
	switch p {
	case corev1.ProtocolUDP:
		key.Protocol = hnslb.UDP
	case corev1.ProtocolSCTP:
		key.Protocol = hnslb.SCTP
	default:
		key.Protocol = hnslb.TCP
	}
	return key
}
