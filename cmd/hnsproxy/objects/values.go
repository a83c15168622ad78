// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// longestAffinity is the longest time, in seconds, for which an API server lets a client keep its
// endpoint.
const longestAffinity = 86400

// badValues says which values an API server would refuse though a Service proxy could go on
// with some meaning for them: a Service of type LoadBalancr would be one without ingress IPs,
// and nobody would be told. The object must be completed.
func badValues(o object) []*Error {
	var errs field.ErrorList
	switch o := o.(type) {
	case *corev1.Service:
		errs = badService(o)
	case *discoveryv1.EndpointSlice:
		errs = badSlice(o)
	}
	out := make([]*Error, 0, len(errs))
	for _, err := range errs {
		out = append(out, refused(err)...)
	}
	return out
}

func badService(s *corev1.Service) field.ErrorList {
	spec := field.NewPath("spec")
	errs := oneOf(spec.Child("type"), s.Spec.Type,
		corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return errs // which no Service proxy serves
	}
	errs = append(errs, oneOf(spec.Child("sessionAffinity"), s.Spec.SessionAffinity, corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP)...)
	if p := s.Spec.InternalTrafficPolicy; p != nil {
		errs = append(errs, oneOf(spec.Child("internalTrafficPolicy"), *p, corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)...)
	}
	if p := s.Spec.ExternalTrafficPolicy; p != "" {
		errs = append(errs, oneOf(spec.Child("externalTrafficPolicy"), p, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)...)
	}
	errs = append(errs, badAffinity(spec, &s.Spec)...)
	errs = append(errs, badFamilies(spec, &s.Spec)...)
	errs = append(errs, badPorts(spec.Child("ports"), s)...)
	for i, ingress := range s.Status.LoadBalancer.Ingress {
		if mode := ingress.IPMode; mode != nil {
			errs = append(errs, oneOf(field.NewPath("status", "loadBalancer", "ingress").Index(i).Child("ipMode"), *mode,
				corev1.LoadBalancerIPModeVIP, corev1.LoadBalancerIPModeProxy)...)
		}
	}
	return errs
}

// oneOf refuses a value that is none of the known ones.
func oneOf[T ~string](path *field.Path, value T, known ...T) field.ErrorList {
	if slices.Contains(known, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, known)}
}

func badAffinity(spec *field.Path, s *corev1.ServiceSpec) field.ErrorList {
	c := s.SessionAffinityConfig
	if s.SessionAffinity != corev1.ServiceAffinityClientIP || c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil {
		return nil
	}
	if n := *c.ClientIP.TimeoutSeconds; n <= 0 || n > longestAffinity {
		return field.ErrorList{field.Invalid(spec.Child("sessionAffinityConfig", "clientIP", "timeoutSeconds"), n,
			fmt.Sprintf("must be from 1 to %d", longestAffinity))}
	}
	return nil
}

func badFamilies(spec *field.Path, s *corev1.ServiceSpec) field.ErrorList {
	var errs field.ErrorList
	for i, f := range s.IPFamilies {
		path := spec.Child("ipFamilies").Index(i)
		errs = append(errs, oneOf(path, f, corev1.IPv4Protocol, corev1.IPv6Protocol)...)
		if slices.Contains(s.IPFamilies[:i], f) {
			errs = append(errs, field.Duplicate(path, f))
		}
	}
	if p := s.IPFamilyPolicy; p != nil {
		errs = append(errs, oneOf(spec.Child("ipFamilyPolicy"), *p,
			corev1.IPFamilyPolicySingleStack, corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack)...)
	}
	if len(s.ClusterIPs) > 0 && s.ClusterIPs[0] != s.ClusterIP {
		errs = append(errs, field.Invalid(spec.Child("clusterIPs").Index(0), s.ClusterIPs[0], "must be the same as clusterIP"))
	}
	return errs
}

// numbered is a port number of a protocol.
type numbered struct {
	protocol corev1.Protocol
	number   int32
}

func badPorts(path *field.Path, s *corev1.Service) field.ErrorList {
	ports := s.Spec.Ports
	if len(ports) == 0 && s.Spec.ClusterIP != corev1.ClusterIPNone {
		return field.ErrorList{field.Required(path, "at least one port is required")}
	}
	var errs field.ErrorList
	names, numbers, nodePorts := map[string]bool{}, map[numbered]bool{}, map[numbered]bool{}
	for i := range ports {
		p, at := &ports[i], path.Index(i)
		if p.Name == "" && len(ports) > 1 {
			errs = append(errs, field.Required(at.Child("name"), "port names are required when there are several ports"))
		}
		errs = append(errs, again(at.Child("name"), names, p.Name, p.Name)...)
		errs = append(errs, again(at.Child("port"), numbers, numbered{p.Protocol, p.Port}, p.Port)...)
		errs = append(errs, badTarget(at.Child("targetPort"), p.TargetPort)...)
		if p.NodePort == 0 {
			continue
		}
		if s.Spec.Type == corev1.ServiceTypeClusterIP {
			errs = append(errs, field.Forbidden(at.Child("nodePort"), "must not be set for a Service of type ClusterIP"))
		}
		errs = append(errs, again(at.Child("nodePort"), nodePorts, numbered{p.Protocol, p.NodePort}, p.NodePort)...)
	}
	return errs
}

// again refuses what was seen before, and is not empty.
func again[K comparable](path *field.Path, seen map[K]bool, key K, value any) field.ErrorList {
	var zero K
	if key != zero && seen[key] {
		return field.ErrorList{field.Duplicate(path, value)}
	}
	seen[key] = true
	return nil
}

func badTarget(path *field.Path, target intstr.IntOrString) field.ErrorList {
	wrong := validation.IsValidPortNum(int(target.IntVal))
	if target.Type == intstr.String {
		wrong = validation.IsValidPortName(target.StrVal)
	}
	var errs field.ErrorList
	for _, why := range wrong {
		errs = append(errs, field.Invalid(path, target.String(), why))
	}
	return errs
}

func badSlice(s *discoveryv1.EndpointSlice) field.ErrorList {
	var errs field.ErrorList
	names := map[string]bool{}
	for i := range s.Ports {
		name := *s.Ports[i].Name
		if len(s.Ports) > 1 && names[name] {
			errs = append(errs, field.Duplicate(field.NewPath("ports").Index(i).Child("name"), name))
		}
		names[name] = true
	}
	return errs
}
