// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// cluster is what an API server says, and whose node this is.
type cluster struct {
	services []*corev1.Service
	slices   []*discoveryv1.EndpointSlice
	node     *corev1.Node
	// nodePortRanges is --nodeport-addresses.
	nodePortRanges []string
}

// packet is the first packet of a new flow.
type packet struct {
	from     client
	to       netip.AddrPort
	protocol corev1.Protocol
}

// client is who sends.
type client struct {
	where where
	// addrs has at most one address per family.
	addrs []netip.Addr
}

type where string

const (
	localPod  where = "local pod"
	theNode   where = "node"
	remotePod where = "remote pod"
	outsider  where = "outsider"
)

// inCluster tells clients whose traffic begins on this node from those whose traffic
// arrives here: a pod elsewhere is served by the proxy of its own node.
func (c client) inCluster() bool { return c.where == localPod || c.where == theNode }

// answer is what Kubernetes promises about a packet.
type answer struct {
	// claim is the frontend that the packet is for; nil when there is none.
	claim *claim
	// endpoints that may get it. None: it must not be delivered to anybody.
	endpoints []endpoint
	// denied: nor must it be delivered to them.
	denied bool
	// promised: the endpoints must get it. Otherwise they may.
	promised bool
	// keepsSource: they see the client's own address.
	keepsSource bool
}

// endpoint is one backend of a Service port.
type endpoint struct {
	addr netip.AddrPort
	api  discoveryv1.Endpoint
}

// claim is a Service's wish for one address and port.
type claim struct {
	service *corev1.Service
	port    *corev1.ServicePort
	face    face
	// vip is the zero Addr for a node port.
	vip    netip.Addr
	number int32
	family discoveryv1.AddressType

	// The endpoints of the Service port, worked out once.
	known             bool
	all, wide, onNode []endpoint
}

// face is as what a Service shows itself.
type face string

const (
	clusterIP  face = "cluster IP"
	nodePort   face = "node port"
	externalIP face = "external IP"
	ingressIP  face = "ingress IP"
)

// frontend is what can be claimed once.
type frontend struct {
	family   discoveryv1.AddressType
	vip      netip.Addr
	number   int32
	protocol corev1.Protocol
}

// oracle answers for one state of a cluster.
type oracle struct {
	cluster
	holders map[frontend][]*claim
	used    tally
}

func newOracle(c cluster, used tally) *oracle {
	o := &oracle{cluster: c, holders: map[frontend][]*claim{}, used: used}
	for _, s := range c.services {
		for _, cl := range o.claims(s) {
			f := frontend{cl.family, cl.vip, cl.number, cl.port.Protocol}
			o.holders[f] = append(o.holders[f], cl)
		}
	}
	for _, claims := range o.holders {
		o.bestFirst(claims)
	}
	return o
}

// ask is the whole of it: whose packet it is, and by which policy it travels.
func (o *oracle) ask(p packet) answer {
	c := o.holder(p)
	if c == nil {
		o.used.note(nobodysAddress)
		return answer{}
	}
	o.findEndpoints(c)
	var a answer
	switch {
	case c.face == clusterIP:
		a = o.internal(c, p)
	case p.from.inCluster() && c.face != nodePort && externalLocal(c.service):
		a = o.shortCut(c)
	default:
		a = o.external(c)
	}
	if c.face == ingressIP && !inRanges(c.service.Spec.LoadBalancerSourceRanges, p.from.addr(p.to.Addr())) {
		o.used.note(sourceRanges)
		a.denied = true
	}
	a.claim = c
	if len(a.endpoints) == 0 {
		o.used.note(noEndpoints)
	}
	return a
}

// --- Which Service is meant

// hasVirtualIPs: a Service of type ExternalName is a name in DNS, and one with clusterIP
// None is headless; the proxy does nothing for either. One that carries the label
// service.kubernetes.io/service-proxy-name belongs to another proxy.
// (Service: "Headless Services", "ExternalName"; KEP-2447)
func (o *oracle) hasVirtualIPs(s *corev1.Service) bool {
	_, others := s.Labels["service.kubernetes.io/service-proxy-name"]
	switch {
	case s.Spec.Type == corev1.ServiceTypeExternalName:
		o.used.note(externalName)
	case s.Spec.ClusterIP == corev1.ClusterIPNone:
		o.used.note(headless)
	case others:
		o.used.note(otherProxy)
	default:
		return true
	}
	return false
}

// claims lists what a Service asks for, in each of its families.
func (o *oracle) claims(s *corev1.Service) []*claim {
	if !o.hasVirtualIPs(s) {
		return nil
	}
	var out []*claim
	for _, text := range s.Spec.ClusterIPs {
		family := familyOf(netip.MustParseAddr(text))
		add := func(f face, vip netip.Addr, port *corev1.ServicePort, number int32) {
			if f == nodePort || familyOf(vip) == family {
				out = append(out, &claim{service: s, port: port, face: f, vip: vip, number: number, family: family})
			}
		}
		for i := range s.Spec.Ports {
			port := &s.Spec.Ports[i]
			add(clusterIP, netip.MustParseAddr(text), port, port.Port)
			if port.NodePort != 0 {
				add(nodePort, netip.Addr{}, port, port.NodePort)
			}
			// An address that is both has the restrictions of the load balancer's.
			for _, ip := range o.ingressIPs(s) {
				add(ingressIP, ip, port, port.Port)
			}
			for _, ip := range s.Spec.ExternalIPs {
				add(externalIP, netip.MustParseAddr(ip), port, port.Port)
			}
		}
	}
	return out
}

// ingressIPs: of a Service of type LoadBalancer, packets come with the load balancer's
// address as destination when ipMode is VIP, which is the default. With ipMode Proxy they
// come with the node's address, and a proxy must leave the other alone. (KEP-1860)
func (o *oracle) ingressIPs(s *corev1.Service) []netip.Addr {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return nil
	}
	var out []netip.Addr
	for _, in := range s.Status.LoadBalancer.Ingress {
		switch {
		case in.IP == "":
			o.used.note(ingressName)
		case in.IPMode != nil && *in.IPMode == corev1.LoadBalancerIPModeProxy:
			o.used.note(ipModeProxy)
		default:
			out = append(out, netip.MustParseAddr(in.IP))
		}
	}
	return out
}

// bestFirst: the API lets two Services name one external IP, and for a moment one node port;
// and whoever writes a Service may name any address as an external IP, another Service's
// cluster IP included (CVE-2020-8554). What the API server gave comes before what a cloud
// controller gave, and that before what somebody wrote. Among equals the older Service has
// the address, by creation time, then namespace and name. Of one Service the first wish counts.
func (o *oracle) bestFirst(claims []*claim) {
	giver := map[face]int{clusterIP: 0, nodePort: 0, ingressIP: 1, externalIP: 2}
	slices.SortStableFunc(claims, func(a, b *claim) int {
		x, y := a.service, b.service
		return cmp.Or(cmp.Compare(giver[a.face], giver[b.face]), x.CreationTimestamp.Compare(y.CreationTimestamp.Time),
			cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	first, last := claims[0], claims[len(claims)-1]
	switch {
	case first.service == last.service:
	case giver[first.face] < giver[last.face]:
		o.used.note(giverWins)
	default:
		o.used.note(eldestWins)
	}
}

// holder: a packet is for the Service that holds its destination; a node port answers on
// every address of the node, or on those that --nodeport-addresses names. (Service: "type:
// NodePort", "Custom IP address configuration for type: NodePort Services")
func (o *oracle) holder(p packet) *claim {
	f := frontend{familyOf(p.to.Addr()), p.to.Addr(), int32(p.to.Port()), p.protocol}
	if claims := o.holders[f]; len(claims) > 0 {
		return claims[0]
	}
	for _, a := range o.node.Status.Addresses {
		if a.Address != p.to.Addr().String() {
			continue
		}
		f.vip = netip.Addr{}
		switch claims := o.holders[f]; {
		case len(claims) == 0:
		case !inRanges(o.nodePortRanges, p.to.Addr()):
			o.used.note(nodePortAddresses)
		default:
			o.used.note(nodePorts)
			return claims[0]
		}
	}
	return nil
}

// --- By which policy it travels

// internal: the cluster IP is for clients inside the cluster and does not change their
// address. internalTrafficPolicy Local sends them to endpoints on their own node only,
// "dropping the traffic if there are no local endpoints". (KEP-2086; "Using Source IP")
func (o *oracle) internal(c *claim, p packet) answer {
	a := answer{endpoints: c.wide, promised: p.from.inCluster(), keepsSource: true}
	if orDefault(c.service.Spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster) ==
		corev1.ServiceInternalTrafficPolicyLocal {
		a.endpoints = c.onNode
		o.used.note(internalLocal)
		if len(c.onNode) == 0 && len(c.wide) > 0 {
			o.used.note(internalLocalNone)
		}
	}
	if !a.promised {
		o.used.note(clusterIPFromOutside)
	}
	return a
}

func externalLocal(s *corev1.Service) bool {
	return s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// external: externalTrafficPolicy Cluster routes "to all endpoints evenly"; the node may
// put its own address in the client's place. Local delivers "only to the node-local
// endpoints of the service, without masquerading the client source IP"; "traffic
// mistakenly sent to a node with no endpoints will be dropped". (Service API)
func (o *oracle) external(c *claim) answer {
	if !externalLocal(c.service) {
		o.used.note(externalCluster)
		return answer{endpoints: c.wide, promised: true}
	}
	o.used.note(externalLocalOnly)
	if len(c.onNode) == 0 && len(c.wide) > 0 {
		o.used.note(externalLocalNone)
	}
	return answer{endpoints: c.onNode, promised: true, keepsSource: true}
}

// shortCut: "traffic sent to an External IP or LoadBalancer IP from within the cluster
// will always get Cluster semantics", whatever the policy for the outside. (Service API)
func (o *oracle) shortCut(c *claim) answer {
	o.used.note(inClusterShortCut)
	return answer{endpoints: c.wide, promised: true}
}

// inRanges tells whether an address is in one of the ranges of its family; where there is
// none, all are. (Service API: "loadBalancerSourceRanges"; kube-proxy: --nodeport-addresses)
func inRanges(ranges []string, ip netip.Addr) bool {
	restricted := false
	for _, r := range ranges {
		p := netip.MustParsePrefix(r)
		if p.Contains(ip) {
			return true
		}
		restricted = restricted || familyOf(p.Addr()) == familyOf(ip)
	}
	return !restricted
}

// openToAll tells whether the ranges let in every address of a family.
func openToAll(ranges []string, family netip.Addr) bool {
	all := netip.PrefixFrom(family, 0).Masked().String()
	return slices.Contains(ranges, all) || inRanges(ranges, netip.MustParsePrefix(all).Addr())
}

// addr returns the client's address of the family of to.
func (c client) addr(to netip.Addr) netip.Addr {
	for _, ip := range c.addrs {
		if familyOf(ip) == familyOf(to) {
			return ip
		}
	}
	return netip.Addr{}
}

func familyOf(ip netip.Addr) discoveryv1.AddressType {
	if ip.Is4() {
		return discoveryv1.AddressTypeIPv4
	}
	return discoveryv1.AddressTypeIPv6
}
