// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// The world is small, so that Services meet: few addresses, few ports, few pods.
const (
	nodeName  = "this"
	otherNode = "other"
	thirdNode = "third"
)

func managementIPs() []netip.Addr { return addresses("10.0.0.4", "fd00:10::4") }

// nodeAddresses are those that the Node object lists.
func nodeAddresses() []netip.Addr { return append(managementIPs(), addresses("198.18.0.4")...) }

func sourceVIP() netip.Addr { return netip.MustParseAddr("10.244.1.250") }

func podSubnets() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:244:1::/64"),
		netip.MustParsePrefix("10.244.2.0/24"), netip.MustParsePrefix("fd00:244:2::/64"),
		netip.MustParsePrefix("10.244.3.0/24"), netip.MustParsePrefix("fd00:244:3::/64"),
		netip.MustParsePrefix("10.250.0.0/16"), netip.MustParsePrefix("fd00:250::/64"),
	}
}

func externalIPs() []netip.Addr {
	// A Service may also name the node's own address, or another's cluster IP.
	return addresses("203.0.113.1", "203.0.113.2", "2001:db8::1", "10.0.0.4", "10.96.0.11")
}

func ingressAddresses() []netip.Addr { return addresses("203.0.113.2", "203.0.113.3", "2001:db8::3") }

func clusterIPs(service int) []netip.Addr {
	return addresses(fmt.Sprintf("10.96.0.%d", 10+service), fmt.Sprintf("fd00:96::%d", 10+service))
}

const firstNodePort, nodePortCount = 30000, 4

func addresses(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

// host is somewhere that an endpoint can be: 1-3 are pods here, 9 is the node itself; 11-14
// and 21 are pods on two other nodes, 19 is one of these nodes; 31 is outside the cluster;
// from 100 on there is a crowd of pods on the third node.
type host int

const (
	thisHost   host = 9
	otherHost  host = 19
	farAway    host = 31
	wanderer   host = 3
	podsHere   host = 3
	firstCrowd host = 100
)

func (h host) addrs() []netip.Addr {
	switch {
	case h == thisHost:
		return managementIPs()
	case h == otherHost:
		return addresses("10.0.0.5", "fd00:10::5")
	case h == farAway:
		return addresses("192.0.2.31", "2001:db8:31::31")
	case h >= firstCrowd:
		return addresses(fmt.Sprintf("10.250.%d.%d", h/200, 10+h%200), fmt.Sprintf("fd00:250::%d", h))
	}
	subnet := 2
	switch {
	case h <= podsHere:
		subnet = 1
	case h > 20 && h < 30:
		subnet = 3
	}
	return addresses(fmt.Sprintf("10.244.%d.%d", subnet, 10+h), fmt.Sprintf("fd00:244:%d::%d", subnet, 10+h))
}

// nodeName is what slices say.
func (h host) nodeName(wandered bool) *string {
	switch {
	case h == farAway:
		return nil
	case h == wanderer && wandered:
		return new(otherNode)
	case h <= thisHost:
		return new(nodeName)
	case h > 20:
		return new(thirdNode)
	}
	return new(otherNode)
}

// hintMode says what the control plane thinks of topology.
type hintMode int

const (
	noHints hintMode = iota
	zonesForAll
	zonesForSome
	nodesAndZones
	hintModes
)

func (m hintMode) of(h host, name *string) *discoveryv1.EndpointHints {
	zone := []string{"z1", "z2"}[h%2]
	out := &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: zone}}}
	switch {
	case m == noHints, m == zonesForSome && h%3 == 0:
		return nil
	case m == nodesAndZones && name != nil:
		out.ForNodes = []discoveryv1.ForNode{{Name: *name}}
	}
	return out
}

// aService is a Service as data that rapid can shrink. Service i is always of one name and
// has the i-th cluster IPs.
type aService struct {
	Type       corev1.ServiceType
	Headless   bool
	OtherProxy bool
	Families   int // 0: IPv4, 1: IPv6, 2: both
	// Ports by index: web (TCP 80), dns (UDP 53), dns-tcp (TCP 53), sctp (SCTP 80).
	Ports     []int
	NodePorts int // 0: none
	External  []netip.Addr
	Ingress   []anIngress

	InternalLocal, ExternalLocal, Sticky, Preserve bool
	// Ranges of the load balancer: 0: none, 1: with the outsider, 2: without, 3: everybody.
	Ranges int
	Age    int
}

type anIngress struct {
	IP    netip.Addr
	Proxy bool
}

func oftenOf[T any](often int, common T, rare ...T) *rapid.Generator[T] {
	all := slices.Clone(rare)
	for range often {
		all = append(all, common)
	}
	return rapid.SampledFrom(all)
}

func someService() *rapid.Generator[aService] {
	return rapid.Custom(func(t *rapid.T) aService {
		ingress := rapid.Custom(func(t *rapid.T) anIngress {
			return anIngress{
				IP:    rapid.SampledFrom(append(ingressAddresses(), netip.Addr{})).Draw(t, "ip"),
				Proxy: oftenOf(4, false, true).Draw(t, "proxy"),
			}
		})
		return aService{
			Type: rapid.SampledFrom([]corev1.ServiceType{corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeLoadBalancer,
				corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort, corev1.ServiceTypeClusterIP,
				corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName}).Draw(t, "type"),
			Headless:      oftenOf(15, false, true).Draw(t, "headless"),
			OtherProxy:    oftenOf(15, false, true).Draw(t, "other proxy"),
			Families:      oftenOf(2, 0, 0, 1, 2, 2).Draw(t, "families"),
			Ports:         rapid.SampledFrom([][]int{{0}, {0}, {0, 1}, {1, 2}, {0, 1, 2}, {0, 3}}).Draw(t, "ports"),
			NodePorts:     rapid.IntRange(0, 2).Draw(t, "node ports"),
			External:      rapid.SliceOfNDistinct(rapid.SampledFrom(externalIPs()), 0, 2, rapid.ID).Draw(t, "external"),
			Ingress:       rapid.SliceOfN(ingress, 0, 2).Draw(t, "ingress"),
			InternalLocal: oftenOf(3, false, true).Draw(t, "internal local"),
			ExternalLocal: rapid.Bool().Draw(t, "external local"),
			Sticky:        oftenOf(3, false, true).Draw(t, "sticky"),
			Preserve:      oftenOf(5, false, true).Draw(t, "preserve"),
			Ranges:        oftenOf(6, 0, 1, 2, 3).Draw(t, "ranges"),
			Age:           rapid.IntRange(0, 2).Draw(t, "age"),
		}
	})
}

// serviceName: two Services share their name in two namespaces.
func serviceName(i int) (namespace, name string) {
	return []string{"a", "a", "b", "b"}[i], []string{"web", "dns", "web", "api"}[i]
}

const services = 4

func (s aService) object(i int) *corev1.Service {
	namespace, name := serviceName(i)
	out := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.Unix(int64(1000+s.Age), 0),
			Labels: map[string]string{}, Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{Type: s.Type, SessionAffinity: corev1.ServiceAffinityNone},
	}
	if s.OtherProxy {
		out.Labels["service.kubernetes.io/service-proxy-name"] = "mesh"
	}
	if s.Preserve {
		out.Annotations["preserve-destination"] = "true"
	}
	if s.Type == corev1.ServiceTypeExternalName {
		out.Spec.ExternalName = "example.com"
		return out
	}
	for f, ip := range clusterIPs(i) {
		if s.Families == 2 || s.Families == f {
			out.Spec.ClusterIPs = append(out.Spec.ClusterIPs, ip.String())
		}
	}
	s.setPolicies(out)
	s.setPorts(out)
	s.setAddresses(out)
	if s.Headless && s.Type == corev1.ServiceTypeClusterIP {
		out.Spec.ClusterIPs = []string{corev1.ClusterIPNone}
	}
	out.Spec.ClusterIP = out.Spec.ClusterIPs[0]
	return out
}

func (s aService) setPolicies(out *corev1.Service) {
	if s.InternalLocal {
		out.Spec.InternalTrafficPolicy = new(corev1.ServiceInternalTrafficPolicyLocal)
	}
	if s.ExternalLocal {
		out.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	if s.Sticky {
		out.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	}
}

func (s aService) setPorts(out *corev1.Service) {
	known := []corev1.ServicePort{
		{Name: "web", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: firstNodePort},
		{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, NodePort: firstNodePort},
		{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, Port: 53, NodePort: firstNodePort + 2},
		{Name: "sctp", Protocol: corev1.ProtocolSCTP, Port: 80, NodePort: firstNodePort},
	}
	for _, p := range s.Ports {
		port := known[p]
		// Two numbers for each, so that Services meet on them.
		port.NodePort += int32(s.NodePorts - 1)
		if s.NodePorts == 0 || s.Type == corev1.ServiceTypeClusterIP {
			port.NodePort = 0
		}
		out.Spec.Ports = append(out.Spec.Ports, port)
	}
}

func (s aService) setAddresses(out *corev1.Service) {
	for _, ip := range s.External {
		out.Spec.ExternalIPs = append(out.Spec.ExternalIPs, ip.String())
	}
	// A status may outlive the type.
	for _, in := range s.Ingress {
		entry := corev1.LoadBalancerIngress{Hostname: "lb.example.com"}
		if in.IP.IsValid() {
			entry = corev1.LoadBalancerIngress{IP: in.IP.String(), IPMode: new(corev1.LoadBalancerIPModeVIP)}
			if in.Proxy {
				*entry.IPMode = corev1.LoadBalancerIPModeProxy
			}
		}
		out.Status.LoadBalancer.Ingress = append(out.Status.LoadBalancer.Ingress, entry)
	}
	switch s.Ranges {
	case 1:
		out.Spec.LoadBalancerSourceRanges = []string{"198.51.100.0/24", "2001:db8:77::/64"}
	case 2:
		out.Spec.LoadBalancerSourceRanges = []string{"192.0.2.0/24"}
	case 3:
		out.Spec.LoadBalancerSourceRanges = []string{"192.0.2.0/24", "0.0.0.0/0", "::/0"}
	}
}

// aSlice is an EndpointSlice as data. Slice j of Service i is always of one name.
type aSlice struct {
	// Label: 0: of the Service, 1: of the Service of that name in namespace a, which may be
	// another's namespace, 2: none, 3: headless.
	Label int
	Type  discoveryv1.AddressType
	// Target number of web and dns; 0: none.
	Web, DNS  int32
	Endpoints []anEndpoint
	// Crowd is how many more there are.
	Crowd int
}

type anEndpoint struct {
	Host  host
	State int
}

func someSlice() *rapid.Generator[aSlice] {
	on := func(hosts []host) *rapid.Generator[[]anEndpoint] {
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) anEndpoint {
			return anEndpoint{
				Host:  rapid.SampledFrom(hosts).Draw(t, "host"),
				State: rapid.SampledFrom([]int{0, 0, 0, 0, 1, 2, 2, 3, 4, 5, 6, 7}).Draw(t, "state"),
			}
		}), 0, 5)
	}
	here, away := []host{1, 1, 2, 2, 3, 9}, []host{3, 11, 11, 12, 13, 19, 21, 31}
	endpoints := rapid.OneOf(on(slices.Concat(here, away)), on(slices.Concat(here, away)), on(here), on(away))
	return rapid.Custom(func(t *rapid.T) aSlice {
		return aSlice{
			Label: oftenOf(20, 0, 1, 2, 3).Draw(t, "label"),
			Type: rapid.SampledFrom([]discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv4,
				discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeIPv6,
				discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN}).Draw(t, "type"),
			Web:       oftenOf(8, int32(8080), 8081, 8081, 0).Draw(t, "web"),
			DNS:       oftenOf(8, int32(5353), 53, 0).Draw(t, "dns"),
			Endpoints: endpoints.Draw(t, "endpoints"),
			// More than fit into a load balancer of Server 2019.
			Crowd: oftenOf(40, 0, 70).Draw(t, "crowd"),
		}
	})
}

// conditions are the states that an endpoint can be in, nil ones included.
func conditions(state int) discoveryv1.EndpointConditions {
	yes, no := new(true), new(false)
	return []discoveryv1.EndpointConditions{
		{Ready: yes, Serving: yes, Terminating: no},
		{}, // the same, by default
		{Ready: no, Serving: yes, Terminating: yes},
		{Ready: no, Terminating: yes}, // the same, by default
		{Ready: no, Serving: no, Terminating: no},
		{Ready: no, Serving: no, Terminating: yes},
		{Ready: yes, Serving: no, Terminating: yes}, // publishNotReadyAddresses
		{Ready: no, Serving: yes},
	}[state]
}

func (s aSlice) object(i, j int, m hintMode, wandered bool) *discoveryv1.EndpointSlice {
	namespace, name := serviceName(i)
	out := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s-%d", name, j),
			Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: s.Type,
		Ports: []discoveryv1.EndpointPort{
			{Name: new("web"), Port: number(s.Web)}, // TCP by default
			{Name: new("dns"), Port: number(s.DNS), Protocol: new(corev1.ProtocolUDP)},
			{Name: new("dns-tcp"), Port: number(s.DNS), Protocol: new(corev1.ProtocolTCP)},
			{Name: new("sctp"), Port: number(s.Web), Protocol: new(corev1.ProtocolSCTP)},
		},
	}
	switch s.Label {
	case 1:
		_, out.Labels[discoveryv1.LabelServiceName] = serviceName(0)
	case 2:
		delete(out.Labels, discoveryv1.LabelServiceName)
	case 3:
		out.Labels[corev1.IsHeadlessService] = ""
	}
	list := slices.Clone(s.Endpoints)
	for h := firstCrowd; h < firstCrowd+host(s.Crowd); h++ {
		list = append(list, anEndpoint{Host: h})
	}
	for _, e := range list {
		address := e.Host.addrs()[0].String()
		switch s.Type {
		case discoveryv1.AddressTypeIPv6:
			address = e.Host.addrs()[1].String()
		case discoveryv1.AddressTypeFQDN:
			address = fmt.Sprintf("host-%d.example.com", e.Host)
		}
		on := e.Host.nodeName(wandered)
		out.Endpoints = append(out.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}, NodeName: on,
			Conditions: conditions(e.State), Hints: m.of(e.Host, on)})
	}
	return out
}

func number(n int32) *int32 {
	if n == 0 {
		return nil
	}
	return &n
}

// nodeObject is the Node in a zone; "" for none.
func nodeObject(zone string) *corev1.Node {
	out := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName, Labels: map[string]string{}}}
	if zone != "" {
		out.Labels[corev1.LabelTopologyZone] = zone
	}
	kinds := []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeInternalIP, corev1.NodeExternalIP}
	for i, ip := range nodeAddresses() {
		out.Status.Addresses = append(out.Status.Addresses, corev1.NodeAddress{Type: kinds[i], Address: ip.String()})
	}
	return out
}
