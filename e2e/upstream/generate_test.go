// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// Addresses from which cases draw: few, so that slices show them more than once. The last
// ones are rare: this node's own, and two in spellings that are read in two ways.
// IPv4-mapped ones are of IPv4 to an API server.
func podIPs(ipv6 bool) []string {
	if ipv6 {
		return []string{"fd00:1::1", "fd00:1::2", "fd00:1:0::1", "fd00:2::5", "fd00:2::6", "fd00:10::4"}
	}
	return []string{"10.244.1.1", "10.244.1.2", "10.244.1.3", "10.244.2.5", "10.244.2.6", "10.244.2.7", "10.0.0.4", "010.244.2.8", "::ffff:10.244.2.6"}
}

// drawing draws one case. It draws indexes, 0 the plainest, so that shrinking leads there.
type drawing struct {
	*rapid.T
	c *testCase
	// ipv6 and fqdn are the address type of the slice under way, which never changes.
	ipv6, fqdn bool
	// hints and unready are moods of a whole case: how many endpoints have hints, and that
	// none is ready. Endpoint by endpoint, all would hardly ever agree.
	zoneHints, nodeHints mood
	unready              bool
}

// mood says how many have something.
type mood int

const (
	none mood = iota
	most
	all
)

// upTo draws 0 to n.
func (d *drawing) upTo(n int, label string) int { return rapid.IntRange(0, n).Draw(d.T, label) }

// oneIn is true once in n times.
func (d *drawing) oneIn(n int, label string) bool { return d.upTo(n-1, label) == n-1 }

func pick[T any](d *drawing, label string, from ...T) T { return from[d.upTo(len(from)-1, label)] }

// drawCase draws what an API server could show: its defaults are set, what it refuses is
// not drawn.
func drawCase(t *rapid.T) *testCase {
	d := &drawing{T: t, c: &testCase{}}
	d.environment()
	d.drawService()
	d.zoneHints, d.nodeHints = pick(d, "zone hints", none, all, most), pick(d, "node hints", none, all, most)
	d.unready = d.oneIn(5, "unready")
	for i := range pick(d, "slices", 1, 2, 3, 4, 0) {
		d.history(fmt.Sprintf("slice-%d", i))
	}
	return d.c
}

func (d *drawing) environment() {
	overlay := d.upTo(7, "network")
	d.c.network = hnslb.Network{ID: "n", Type: "L2Bridge", ManagementIP: netip.MustParseAddr("10.0.0.4")}
	if overlay >= 6 {
		d.c.network.Type = "Overlay"
		d.c.network.HostMAC = "00-15-5D-00-00-04"
		d.c.network.Subnets = []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}
		d.c.network.Remotes = []hnslb.RemoteSubnet{{
			Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: netip.MustParseAddr("10.0.0.5")}}
	}
	if overlay == 6 {
		d.c.options.SourceVIP = netip.MustParseAddr("10.244.1.250")
	}
	d.c.version = pick(d, "HNS", hnslb.Version{Major: 13, Minor: 2}, hnslb.Version{Major: 15, Minor: 5},
		hnslb.Version{Major: 15, Minor: 4}, hnslb.Version{Major: 9, Minor: 5}, hnslb.Version{Major: 9, Minor: 2})
	d.c.options.DSR = d.oneIn(2, "DSR")
	d.c.options.SkipSourceRanges = d.oneIn(3, "skip source ranges")
	d.c.node = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: thisNode, Labels: map[string]string{}}}
	if d.upTo(5, "zone") != 0 {
		d.c.node.Labels[corev1.LabelTopologyZone] = "a"
	}
	for _, ip := range []string{"10.0.0.4", "fd00:10::4"} {
		d.c.node.Status.Addresses = append(d.c.node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip})
	}
}

func (d *drawing) drawService() {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service}}
	d.c.service = s
	s.Spec.Type = pick(d, "type", corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeLoadBalancer,
		corev1.ServiceTypeNodePort, corev1.ServiceTypeClusterIP)
	switch d.upTo(6, "families") {
	case 0, 1, 2:
		d.clusterIPs(corev1.IPv4Protocol)
	case 3:
		d.clusterIPs(corev1.IPv6Protocol)
	case 4, 5:
		d.clusterIPs(corev1.IPv4Protocol, corev1.IPv6Protocol)
	case 6:
		d.clusterIPs(corev1.IPv6Protocol, corev1.IPv4Protocol)
	}
	if internal := d.upTo(3, "internal policy"); internal > 0 {
		s.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyCluster)
		if internal > 1 {
			s.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyLocal)
		}
	}
	for range d.upTo(2, "external IPs") {
		s.Spec.ExternalIPs = append(s.Spec.ExternalIPs,
			pick(d, "external IP", "203.0.113.1", "203.0.113.2", "2001:db8::1", "203.0.113.3", "10.96.0.5", "203.0.113.010",
				"::ffff:203.0.113.1"))
	}
	for range d.upTo(2, "ingress") {
		in := corev1.LoadBalancerIngress{IP: pick(d, "ingress IP", "203.0.113.1", "198.51.100.1", "2001:db8::2", "",
			"::ffff:198.51.100.1"), Hostname: "lb.example.org"}
		in.IPMode = pick(d, "ipMode", nil, new(corev1.LoadBalancerIPModeVIP), new(corev1.LoadBalancerIPModeProxy))
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, in)
	}
	s.Spec.LoadBalancerSourceRanges = pick(d, "source ranges", nil, nil, nil, []string{"192.0.2.0/24"},
		[]string{"2001:db8::/32", " 192.0.2.0/24"}, []string{"192.0.2.0/24", "0.0.0.0/0"})
	if s.Spec.Type != corev1.ServiceTypeClusterIP || len(s.Spec.ExternalIPs) > 0 {
		s.Spec.ExternalTrafficPolicy = pick(d, "external policy", corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		s.Spec.HealthCheckNodePort = 30500
	}
	if d.oneIn(6, "preserve-destination") {
		s.Annotations = map[string]string{"preserve-destination": "true"}
	}
	s.Spec.SessionAffinity = corev1.ServiceAffinityNone
	if d.oneIn(4, "affinity") {
		s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
		s.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: new(int32(10800))}}
	}
	d.ports()
}

func (d *drawing) clusterIPs(families ...corev1.IPFamily) {
	spec := &d.c.service.Spec
	for _, f := range families {
		ip := "10.96.0.5"
		if f == corev1.IPv6Protocol {
			ip = "fd00:96::5"
		}
		spec.ClusterIPs = append(spec.ClusterIPs, ip)
	}
	spec.ClusterIP = spec.ClusterIPs[0]
	if len(families) == 1 && d.oneIn(4, "before dual stack") {
		// As an API server older than dual stack stored it.
		spec.ClusterIPs = nil
		return
	}
	spec.IPFamilies = families
}

// ports draws ports as the API allows them: names unique once there are several, numbers
// unique per protocol.
func (d *drawing) ports() {
	spec := &d.c.service.Spec
	from := []corev1.ServicePort{
		{Name: "", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: 30080},
		{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, NodePort: 30053},
		{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, NodePort: 30053},
		{Name: "sctp", Protocol: corev1.ProtocolSCTP, Port: 53, NodePort: 30054},
	}
	switch d.upTo(7, "ports") {
	case 0, 1, 2, 3:
		spec.Ports = from[:1]
	case 4, 5:
		spec.Ports = from[1:3]
	case 6:
		spec.Ports = from[1:4]
	case 7:
		spec.Ports = from[1:2]
	}
	if spec.Type == corev1.ServiceTypeClusterIP || spec.Type == corev1.ServiceTypeLoadBalancer && d.oneIn(4, "no node ports") {
		for i := range spec.Ports {
			spec.Ports[i].NodePort = 0
		}
	}
}

// history draws what the watch tells of one slice: it comes, and may have been another
// before, or may go again.
func (d *drawing) history(name string) {
	h := d.upTo(7, "history")
	d.ipv6 = d.oneIn(5, "other family") != (slices.Contains(d.c.service.Spec.IPFamilies, corev1.IPv6Protocol) && d.oneIn(2, "IPv6 slice"))
	d.fqdn = d.oneIn(16, "FQDN slice")
	if h == 6 {
		d.c.history = append(d.c.history, change{slice: d.slice(name)})
	}
	d.c.history = append(d.c.history, change{slice: d.slice(name)})
	if h == 7 {
		d.c.history = append(d.c.history, change{slice: d.c.history[len(d.c.history)-1].slice, removed: true})
	}
}

func (d *drawing) slice(name string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	switch {
	case d.fqdn:
		s.AddressType = discoveryv1.AddressTypeFQDN
	case d.ipv6:
		s.AddressType = discoveryv1.AddressTypeIPv6
	}
	for i := range d.c.service.Spec.Ports {
		p := &d.c.service.Spec.Ports[i]
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: &p.Name, Protocol: &p.Protocol, Port: new(pick[int32](d, "target port", 8080, 8080, 9090))})
	}
	switch d.upTo(14, "oddity") {
	case 10:
		s.Ports[0].Port = nil
	case 11:
		s.Ports[0].Name = new("metrics")
	case 12:
		s.Ports[0].Protocol = new(corev1.ProtocolSCTP)
	case 13:
		s.Ports = s.Ports[1:]
	case 14:
		s.Labels[discoveryv1.LabelServiceName] = "another"
	}
	for range pick(d, "endpoints", 1, 2, 3, 4, 5, 0) {
		s.Endpoints = append(s.Endpoints, d.endpoint())
	}
	if d.oneIn(100, "large") {
		s.Endpoints = append(s.Endpoints, manyEndpoints(d.ipv6, 55+d.upTo(30, "many"))...)
	}
	return s
}

func (d *drawing) endpoint() discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{
		Addresses:  []string{pick(d, "address", podIPs(d.ipv6)...)},
		NodeName:   pick(d, "node", new(otherNode), new(thisNode), nil),
		Conditions: pick(d, "conditions", conditions(d.unready)...),
	}
	var hints discoveryv1.EndpointHints
	if d.has(d.zoneHints, "zone hint") {
		hints.ForZones = pick(d, "for zones", []discoveryv1.ForZone{{Name: "a"}}, []discoveryv1.ForZone{{Name: "b"}},
			[]discoveryv1.ForZone{{Name: "b"}, {Name: "c"}}, []discoveryv1.ForZone{{Name: "b"}, {Name: "a"}})
	}
	if d.has(d.nodeHints, "node hint") {
		hints.ForNodes = pick(d, "for nodes", []discoveryv1.ForNode{{Name: otherNode}}, []discoveryv1.ForNode{{Name: otherNode}},
			[]discoveryv1.ForNode{{Name: thisNode}}, []discoveryv1.ForNode{{Name: otherNode}, {Name: thisNode}})
	}
	if hints.ForZones != nil || hints.ForNodes != nil {
		e.Hints = &hints
	}
	return e
}

// manyEndpoints makes so many ready ones, a few of them on this node.
func manyEndpoints(ipv6 bool, n int) []discoveryv1.Endpoint {
	out := make([]discoveryv1.Endpoint, 0, n)
	for i := range n {
		e := discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.244.2.%d", 100+i)}, NodeName: new(otherNode)}
		if ipv6 {
			e.Addresses[0] = fmt.Sprintf("fd00:2::%d", 100+i)
		}
		if i%20 == 0 {
			*e.NodeName = thisNode
		}
		out = append(out, e)
	}
	return out
}

// has draws whether one of them has it.
func (d *drawing) has(m mood, label string) bool {
	return m == all || m == most && d.upTo(3, label) != 3
}

// conditions lists those from which endpoints draw: all 27 combinations, and those that
// controllers write several times over. unready leaves out the ready ones.
func conditions(unready bool) []discoveryv1.EndpointConditions {
	var out []discoveryv1.EndpointConditions
	values := []*bool{nil, new(true), new(false)}
	yes, no := new(true), new(false)
	for range 6 {
		out = append(out, discoveryv1.EndpointConditions{Ready: yes, Serving: yes, Terminating: no},
			discoveryv1.EndpointConditions{Ready: no, Serving: yes, Terminating: yes},
			discoveryv1.EndpointConditions{Ready: no, Serving: no, Terminating: no})
	}
	for _, ready := range values {
		for _, serving := range values {
			for _, terminating := range values {
				out = append(out, discoveryv1.EndpointConditions{Ready: ready, Serving: serving, Terminating: terminating})
			}
		}
	}
	if unready {
		out = slices.DeleteFunc(out, func(c discoveryv1.EndpointConditions) bool { return c.Ready == nil || *c.Ready })
	}
	return out
}
