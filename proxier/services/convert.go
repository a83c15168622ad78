// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unique"

	"github.com/hnsproxy/hnsproxy/hnslb"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// preserveDestination is the annotation of the Windows kube-proxy that requests packets with an
// unchanged destination.
const preserveDestination = "preserve-destination"

// taintToBeDeleted is set by the cluster autoscaler on nodes that it is about to remove.
const taintToBeDeleted = "ToBeDeletedByClusterAutoscaler"

// Validate returns the fields of a Service, EndpointSlice or Node that cannot be used; nil if all
// can. An API server would have rejected such an object, but objects from files may not have passed
// one.
func Validate(obj runtime.Object) error {
	var errs field.ErrorList
	switch o := obj.(type) {
	case *corev1.Service:
		_, errs = convertService(o)
	case *discoveryv1.EndpointSlice:
		_, errs = convertSlice(o, "")
	case *corev1.Node:
		_, errs = convertNode(o)
	}
	return errs.ToAggregate()
}

// proxied returns whether a Service has frontends: headless and ExternalName Services do not.
func proxied(s *corev1.Service) bool {
	return s.Spec.Type != corev1.ServiceTypeExternalName &&
		s.Spec.ClusterIP != corev1.ClusterIPNone && s.Spec.ClusterIP != ""
}

// ReadService converts a Service without storing it. The error names the invalid fields; the result
// is usable without them. The result is nil for a Service that is not proxied.
func ReadService(s *corev1.Service) (*Service, error) {
	out, errs := convertService(s)
	return out, errs.ToAggregate()
}

// convertService returns nil for a Service that is not proxied. Values that do not parse are left
// out, so that an invalid one never means "any address" (CVE-2021-25736).
func convertService(s *corev1.Service) (*Service, field.ErrorList) {
	if !proxied(s) {
		return nil, nil
	}
	var errs field.ErrorList
	spec := field.NewPath("spec")
	out := &Service{
		Name:                Name{Namespace: s.Namespace, Name: s.Name},
		UID:                 s.UID,
		Created:             s.CreationTimestamp.Time,
		ExternalIPs:         parseIPs(spec.Child("externalIPs"), s.Spec.ExternalIPs, &errs),
		InternalLocal:       local(s.Spec.InternalTrafficPolicy),
		ExternalLocal:       s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
		ClientIPAffinity:    s.Spec.SessionAffinity == corev1.ServiceAffinityClientIP,
		PreserveDestination: strings.EqualFold(s.Annotations[preserveDestination], "true"),
	}
	clusterIPs := s.Spec.ClusterIPs
	if len(clusterIPs) == 0 {
		clusterIPs = []string{s.Spec.ClusterIP}
	}
	out.ClusterIPs = parseIPs(spec.Child("clusterIPs"), clusterIPs, &errs)
	for _, ip := range out.ClusterIPs {
		out.Families = append(out.Families, hnslb.FamilyOf(ip))
	}
	out.IngressIPs = ingressIPs(s, &errs)
	if len(out.IngressIPs) > 0 {
		out.Restricted = restricted(s.Spec.LoadBalancerSourceRanges, &errs)
	}
	out.AffinityTimeout = affinityTimeout(s)
	if out.ExternalLocal && s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		out.HealthCheckNodePort = convertNumber(spec.Child("healthCheckNodePort"), s.Spec.HealthCheckNodePort, 0, &errs)
	}
	for i := range s.Spec.Ports {
		out.Ports = append(out.Ports, convertPort(spec.Child("ports").Index(i), &s.Spec.Ports[i], &errs))
	}
	out.Ports = slices.DeleteFunc(out.Ports, func(p Port) bool { return p.Port == 0 || p.Protocol == 0 })
	return out, errs
}

func local(p *corev1.ServiceInternalTrafficPolicy) bool {
	return p != nil && *p == corev1.ServiceInternalTrafficPolicyLocal
}

// ingressIPs returns the addresses for which packets arrive with the load balancer's address as
// destination, which ipMode Proxy excludes (KEP-1860).
func ingressIPs(s *corev1.Service, errs *field.ErrorList) []netip.Addr {
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return nil
	}
	var ips []string
	for _, in := range s.Status.LoadBalancer.Ingress {
		if in.IP != "" && (in.IPMode == nil || *in.IPMode == corev1.LoadBalancerIPModeVIP) {
			ips = append(ips, in.IP)
		}
	}
	return parseIPs(field.NewPath("status", "loadBalancer", "ingress"), ips, errs)
}

// restricted returns the families with source ranges that do not include every address. An invalid
// range restricts both families, since a false warning is safer than none.
func restricted(ranges []string, errs *field.ErrorList) []hnslb.Family {
	var out []hnslb.Family
	open := map[hnslb.Family]bool{}
	add := func(f hnslb.Family) {
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	for i, text := range ranges {
		// API servers before 1.36 accept surrounding spaces, which are unambiguous.
		p, err := ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			*errs = append(*errs, field.Invalid(field.NewPath("spec", "loadBalancerSourceRanges").Index(i), text, err.Error()))
			add(hnslb.IPv4)
			add(hnslb.IPv6)
			continue
		}
		f := hnslb.FamilyOf(p.Addr())
		open[f] = open[f] || p.Bits() == 0
		add(f)
	}
	return slices.DeleteFunc(out, func(f hnslb.Family) bool { return open[f] })
}

// affinityTimeout returns the timeout of session affinity in seconds, 0 if it is the default.
func affinityTimeout(s *corev1.Service) int32 {
	c := s.Spec.SessionAffinityConfig
	if s.Spec.SessionAffinity != corev1.ServiceAffinityClientIP || c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil ||
		*c.ClientIP.TimeoutSeconds == corev1.DefaultClientIPServiceAffinitySeconds {
		return 0
	}
	return *c.ClientIP.TimeoutSeconds
}

func convertPort(path *field.Path, p *corev1.ServicePort, errs *field.ErrorList) Port {
	return Port{
		Name:     p.Name,
		Protocol: convertProtocol(path.Child("protocol"), p.Protocol, errs),
		Port:     convertNumber(path.Child("port"), p.Port, 1, errs),
		NodePort: convertNumber(path.Child("nodePort"), p.NodePort, 0, errs),
	}
}

func convertProtocol(path *field.Path, p corev1.Protocol, errs *field.ErrorList) hnslb.Protocol {
	switch p {
	case corev1.ProtocolTCP, "":
		return hnslb.TCP
	case corev1.ProtocolUDP:
		return hnslb.UDP
	case corev1.ProtocolSCTP:
		return hnslb.SCTP
	}
	*errs = append(*errs, field.NotSupported(path, p, []string{"TCP", "UDP", "SCTP"}))
	return 0
}

func convertNumber(path *field.Path, n, lowest int32, errs *field.ErrorList) uint16 {
	if n < lowest || n > 65535 {
		*errs = append(*errs, field.Invalid(path, n, "must be a port number from "+
			strconv.Itoa(int(lowest))+" to 65535"))
		return 0
	}
	return uint16(n)
}

// parseIPs returns the valid IP addresses. Addresses that no Service or endpoint may have are
// rejected later, when frontends are computed, so that users are told.
func parseIPs(path *field.Path, texts []string, errs *field.ErrorList) []netip.Addr {
	var out []netip.Addr
	for i, text := range texts {
		ip, err := parseIP(text)
		if err != nil {
			*errs = append(*errs, field.Invalid(path.Index(i), text, err.Error()))
			continue
		}
		if !slices.Contains(out, ip) {
			out = append(out, ip)
		}
	}
	return out
}

func parseIP(text string) (netip.Addr, error) {
	ip, err := ParseAddr(text)
	if err != nil {
		return netip.Addr{}, err
	}
	return ip, nil
}

// convertSlice returns nil for a slice without a Service label, or with host names instead of
// addresses. node is this node's name.
func convertSlice(s *discoveryv1.EndpointSlice, node string) (*Slice, field.ErrorList) {
	service := s.Labels[discoveryv1.LabelServiceName]
	if service == "" || s.AddressType == discoveryv1.AddressTypeFQDN {
		return nil, nil
	}
	var errs field.ErrorList
	out := &Slice{
		Name:      s.Name,
		Service:   Name{Namespace: s.Namespace, Name: service},
		Family:    hnslb.IPv4,
		Endpoints: make([]Endpoint, 0, len(s.Endpoints)),
		Trigger:   triggerOf(s.Annotations),
	}
	switch s.AddressType {
	case discoveryv1.AddressTypeIPv4:
	case discoveryv1.AddressTypeIPv6:
		out.Family = hnslb.IPv6
	default:
		errs = append(errs, field.NotSupported(field.NewPath("addressType"), s.AddressType, []string{"IPv4", "IPv6", "FQDN"}))
		return nil, errs
	}
	for i := range s.Ports {
		if p, ok := convertSlicePort(field.NewPath("ports").Index(i), &s.Ports[i], &errs); ok {
			out.Ports = append(out.Ports, p)
		}
	}
	for i := range s.Endpoints {
		if e, ok := convertEndpoint(i, out.Family, &s.Endpoints[i], &errs); ok {
			if ref := s.Endpoints[i].TargetRef; ref != nil && e.Node == node {
				e.Pod = ref.UID
			}
			out.Endpoints = append(out.Endpoints, e)
		}
	}
	return out, errs
}

// convertSlicePort leaves out a port without a number, which means "all ports" in the API and
// cannot be used by a Service proxy.
func convertSlicePort(path *field.Path, p *discoveryv1.EndpointPort, errs *field.ErrorList) (SlicePort, bool) {
	if p.Port == nil {
		return SlicePort{}, false
	}
	out := SlicePort{Port: convertNumber(path.Child("port"), *p.Port, 1, errs), Protocol: hnslb.TCP}
	if p.Name != nil {
		out.Name = intern(*p.Name)
	}
	if p.Protocol != nil {
		out.Protocol = convertProtocol(path.Child("protocol"), *p.Protocol, errs)
	}
	return out, out.Port != 0 && out.Protocol != 0
}

// convertEndpoint uses the first address: the API defines all addresses of an endpoint as
// equivalent, and that consumers use the first. The path of endpoint i is built for errors only,
// since it would cost more than the rest of a large slice.
func convertEndpoint(i int, family hnslb.Family, e *discoveryv1.Endpoint, errs *field.ErrorList) (Endpoint, bool) {
	if len(e.Addresses) == 0 {
		*errs = append(*errs, field.Required(field.NewPath("endpoints").Index(i).Child("addresses"), "must have exactly one address"))
		return Endpoint{}, false
	}
	ip, err := parseIP(e.Addresses[0])
	if err == nil && hnslb.FamilyOf(ip) != family {
		err = errors.New("must be an " + family.String() + " address, as addressType says")
	}
	if err != nil {
		first := field.NewPath("endpoints").Index(i).Child("addresses").Index(0)
		*errs = append(*errs, field.Invalid(first, e.Addresses[0], err.Error()))
		return Endpoint{}, false
	}
	// Unset conditions count as ready, serving and not terminating.
	c := e.Conditions
	out := Endpoint{
		IP:          ip,
		Ready:       c.Ready == nil || *c.Ready,
		Serving:     c.Serving == nil || *c.Serving,
		Terminating: c.Terminating != nil && *c.Terminating,
	}
	if e.NodeName != nil {
		out.Node = intern(*e.NodeName)
	}
	if e.Zone != nil {
		out.Zone = intern(*e.Zone)
	}
	if e.Hints != nil {
		out.Zones = joinHints(e.Hints.ForZones, func(z discoveryv1.ForZone) string { return z.Name })
		out.Nodes = joinHints(e.Hints.ForNodes, func(n discoveryv1.ForNode) string { return n.Name })
	}
	return out, true
}

func joinHints[T any](hints []T, name func(T) string) string {
	names := make([]string, 0, len(hints))
	for _, h := range hints {
		names = append(names, name(h))
	}
	slices.Sort(names)
	return intern(strings.Join(names, ","))
}

func intern(s string) string { return unique.Make(s).Value() }

// ReadNode converts a Node object. The error names the invalid fields; the result is usable without
// them.
func ReadNode(n *corev1.Node) (Node, error) {
	out, errs := convertNode(n)
	return out, errs.ToAggregate()
}

func convertNode(n *corev1.Node) (Node, field.ErrorList) {
	var errs field.ErrorList
	out := Node{
		Name:     n.Name,
		Zone:     n.Labels[corev1.LabelTopologyZone],
		Eligible: n.DeletionTimestamp.IsZero(),
	}
	for _, t := range n.Spec.Taints {
		if t.Key == taintToBeDeleted {
			out.Eligible = false
		}
	}
	var ips []string
	for _, kind := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP} {
		for _, a := range n.Status.Addresses {
			if a.Type == kind {
				ips = append(ips, a.Address)
			}
		}
	}
	for _, ip := range parseIPs(field.NewPath("status", "addresses"), ips, &errs) {
		if ip = ip.Unmap(); ip.IsUnspecified() || ip.IsMulticast() {
			errs = append(errs, field.Invalid(field.NewPath("status", "addresses"), ip.String(), "must be a unicast host address"))
			continue
		}
		if !out.IP(hnslb.FamilyOf(ip)).IsValid() {
			out.IPs = append(out.IPs, ip)
		}
	}
	return out, errs
}

// triggerOf returns when the change behind a slice happened, by the endpoint controller's clock, or
// the zero time.
func triggerOf(annotations map[string]string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, annotations[corev1.EndpointsLastChangeTriggerTime])
	if err != nil {
		return time.Time{}
	}
	return t
}
