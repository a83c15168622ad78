// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"net/netip"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// affinityTimeout is what an API server sets for sessionAffinity ClientIP, in seconds.
const affinityTimeout int32 = 10800

// complete fills in what an API server would have set and a Service proxy relies on. A
// condition of an endpoint that is not set stays so: that means ready.
//
// Of the name's identity it makes a UID, the same each time, since nothing else remembers
// one. The resource version is another server's, and tells nothing here.
func complete(o object, k key) {
	clearKind(o)
	o.SetNamespace(k.namespace)
	o.SetResourceVersion("")
	if o.GetUID() == "" {
		name := string(k.resource) + "/" + k.namespace + "/" + k.name
		o.SetUID(types.UID(uuid.NewSHA1(uuid.Nil, []byte(name)).String()))
	}
	switch o := o.(type) {
	case *corev1.Service:
		completeService(o)
	case *discoveryv1.EndpointSlice:
		completeSlice(o)
	}
}

func completeService(s *corev1.Service) {
	spec := &s.Spec
	set(&spec.Type, corev1.ServiceTypeClusterIP)
	set(&spec.SessionAffinity, corev1.ServiceAffinityNone)
	if spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		completeAffinity(spec)
	}
	for i := range spec.Ports {
		completePort(&spec.Ports[i])
	}
	if spec.Type == corev1.ServiceTypeExternalName {
		return
	}
	setPointer(&spec.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	if spec.Type != corev1.ServiceTypeClusterIP || len(spec.ExternalIPs) > 0 {
		set(&spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	completeClusterIPs(spec)
	for i := range s.Status.LoadBalancer.Ingress {
		if ingress := &s.Status.LoadBalancer.Ingress[i]; ingress.IP != "" {
			setPointer(&ingress.IPMode, corev1.LoadBalancerIPModeVIP)
		}
	}
}

func completeAffinity(spec *corev1.ServiceSpec) {
	if spec.SessionAffinityConfig == nil {
		spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{}
	}
	if spec.SessionAffinityConfig.ClientIP == nil {
		spec.SessionAffinityConfig.ClientIP = &corev1.ClientIPConfig{}
	}
	setPointer(&spec.SessionAffinityConfig.ClientIP.TimeoutSeconds, affinityTimeout)
}

func completePort(p *corev1.ServicePort) {
	set(&p.Protocol, corev1.ProtocolTCP)
	if p.TargetPort == (intstr.IntOrString{}) {
		p.TargetPort = intstr.FromInt32(p.Port)
	}
}

// completeClusterIPs makes clusterIP, clusterIPs and ipFamilies agree where one is missing.
func completeClusterIPs(spec *corev1.ServiceSpec) {
	if spec.ClusterIP == "" && len(spec.ClusterIPs) > 0 {
		spec.ClusterIP = spec.ClusterIPs[0]
	}
	if spec.ClusterIP != "" && len(spec.ClusterIPs) == 0 {
		spec.ClusterIPs = []string{spec.ClusterIP}
	}
	if len(spec.IPFamilies) > 0 {
		return
	}
	for _, text := range spec.ClusterIPs {
		ip, err := netip.ParseAddr(text)
		switch {
		case err != nil: // "None", or what validation will refuse
		case ip.Unmap().Is4():
			spec.IPFamilies = append(spec.IPFamilies, corev1.IPv4Protocol)
		default:
			spec.IPFamilies = append(spec.IPFamilies, corev1.IPv6Protocol)
		}
	}
}

func completeSlice(s *discoveryv1.EndpointSlice) {
	for i := range s.Ports {
		setPointer(&s.Ports[i].Name, "")
		setPointer(&s.Ports[i].Protocol, corev1.ProtocolTCP)
	}
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func setPointer[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// needs says what an API server would have allocated, which a file must give itself.
func needs(o object) []*Error {
	s, ok := o.(*corev1.Service)
	if !ok || s.Spec.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	var out []*Error
	if s.Spec.ClusterIP == "" {
		out = append(out, &Error{Field: "spec.clusterIP", Why: "is not set, and no API server is there to allocate one",
			Remedy: "set spec.clusterIP to an address in the Service range of the cluster, or None for a headless Service"})
	}
	if s.Spec.Type == corev1.ServiceTypeNodePort {
		out = append(out, missingNodePorts(s)...)
	}
	return out
}

func missingNodePorts(s *corev1.Service) []*Error {
	var out []*Error
	for i := range s.Spec.Ports {
		if s.Spec.Ports[i].NodePort == 0 {
			path := field.NewPath("spec", "ports").Index(i).Child("nodePort")
			out = append(out, &Error{Field: path.String(), Warning: true,
				Why:    "is not set, and no API server is there to allocate one",
				Remedy: "set it; until then the Service has no node port"})
		}
	}
	return out
}
