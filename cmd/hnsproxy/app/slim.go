// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// slimmer makes what informers keep small: of each object the fields that a proxy reads,
// with texts and values that repeat kept once. Most of a cluster's memory here would
// otherwise be labels, owners and managed fields that nobody reads, and 150,000 copies of
// "true" and of a few hundred node names.
//
// It makes new objects: those of the source belong to the source.
type slimmer struct {
	node            string
	noExternalIPs   bool
	yes, no         bool // what the conditions of all endpoints point to
	mu              sync.Mutex
	texts           map[string]*string
	hints           map[string]*discoveryv1.EndpointHints
	keptAnnotations []string
}

func newSlimmer(node string, externalIPs bool) *slimmer {
	return &slimmer{
		node:          node,
		noExternalIPs: !externalIPs,
		yes:           true,
		texts:         map[string]*string{},
		hints:         map[string]*discoveryv1.EndpointHints{},
		keptAnnotations: []string{
			"preserve-destination", corev1.EndpointsLastChangeTriggerTime,
		},
	}
}

// transform is a cache.TransformFunc.
func (s *slimmer) transform(obj any) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch o := obj.(type) {
	case *corev1.Service:
		return s.service(o), nil
	case *discoveryv1.EndpointSlice:
		return s.slice(o), nil
	case *corev1.Node:
		return s.nodeObject(o), nil
	}
	return obj, nil // a tombstone
}

func (s *slimmer) meta(m metav1.ObjectMeta, label string) metav1.ObjectMeta {
	out := metav1.ObjectMeta{
		Namespace:         *s.text(m.Namespace),
		Name:              m.Name,
		UID:               m.UID,
		ResourceVersion:   m.ResourceVersion,
		CreationTimestamp: m.CreationTimestamp,
		DeletionTimestamp: m.DeletionTimestamp,
	}
	if v, ok := m.Labels[label]; ok {
		out.Labels = map[string]string{label: v}
	}
	for _, key := range s.keptAnnotations {
		if v, ok := m.Annotations[key]; ok {
			if out.Annotations == nil {
				out.Annotations = map[string]string{}
			}
			out.Annotations[key] = v
		}
	}
	return out
}

func (s *slimmer) service(in *corev1.Service) *corev1.Service {
	out := &corev1.Service{ObjectMeta: s.meta(in.ObjectMeta, "")}
	out.Spec = corev1.ServiceSpec{
		Type:                  in.Spec.Type,
		ClusterIP:             in.Spec.ClusterIP,
		ClusterIPs:            in.Spec.ClusterIPs,
		SessionAffinity:       in.Spec.SessionAffinity,
		ExternalTrafficPolicy: in.Spec.ExternalTrafficPolicy,
		InternalTrafficPolicy: in.Spec.InternalTrafficPolicy,
		Ports:                 make([]corev1.ServicePort, 0, len(in.Spec.Ports)),
	}
	if !s.noExternalIPs {
		out.Spec.ExternalIPs = in.Spec.ExternalIPs
	}
	for _, p := range in.Spec.Ports {
		out.Spec.Ports = append(out.Spec.Ports, corev1.ServicePort{
			Name: *s.text(p.Name), Protocol: p.Protocol, Port: p.Port, NodePort: p.NodePort,
		})
	}
	for _, i := range in.Status.LoadBalancer.Ingress {
		out.Status.LoadBalancer.Ingress = append(out.Status.LoadBalancer.Ingress,
			corev1.LoadBalancerIngress{IP: i.IP, IPMode: i.IPMode})
	}
	return out
}

func (s *slimmer) slice(in *discoveryv1.EndpointSlice) *discoveryv1.EndpointSlice {
	out := &discoveryv1.EndpointSlice{
		ObjectMeta:  s.meta(in.ObjectMeta, discoveryv1.LabelServiceName),
		AddressType: in.AddressType,
		Ports:       make([]discoveryv1.EndpointPort, 0, len(in.Ports)),
		Endpoints:   make([]discoveryv1.Endpoint, 0, len(in.Endpoints)),
	}
	for _, p := range in.Ports {
		out.Ports = append(out.Ports, discoveryv1.EndpointPort{Name: s.shared(p.Name), Protocol: p.Protocol, Port: p.Port})
	}
	for i := range in.Endpoints {
		out.Endpoints = append(out.Endpoints, s.endpoint(&in.Endpoints[i]))
	}
	return out
}

// endpoint keeps the reference to the pod for pods of this node alone: it tells apart two
// pods that follow each other on one address.
func (s *slimmer) endpoint(in *discoveryv1.Endpoint) discoveryv1.Endpoint {
	out := discoveryv1.Endpoint{
		Addresses: in.Addresses,
		Conditions: discoveryv1.EndpointConditions{
			Ready:       s.condition(in.Conditions.Ready),
			Serving:     s.condition(in.Conditions.Serving),
			Terminating: s.condition(in.Conditions.Terminating),
		},
		NodeName: s.shared(in.NodeName),
		Hints:    s.sharedHints(in.Hints),
	}
	if in.TargetRef != nil && in.NodeName != nil && *in.NodeName == s.node {
		out.TargetRef = &corev1.ObjectReference{UID: in.TargetRef.UID}
	}
	return out
}

func (s *slimmer) nodeObject(in *corev1.Node) *corev1.Node {
	out := &corev1.Node{ObjectMeta: s.meta(in.ObjectMeta, corev1.LabelTopologyZone)}
	out.Spec.PodCIDRs = in.Spec.PodCIDRs
	out.Spec.Taints = in.Spec.Taints
	out.Status.Addresses = in.Status.Addresses
	return out
}

func (s *slimmer) condition(b *bool) *bool {
	switch {
	case b == nil:
		return nil
	case *b:
		return &s.yes
	}
	return &s.no
}

// text returns the one copy of a text that repeats.
func (s *slimmer) text(t string) *string {
	p, ok := s.texts[t]
	if !ok {
		t = strings.Clone(t) // not a part of a larger text
		p = &t
		s.texts[t] = p
	}
	return p
}

func (s *slimmer) shared(t *string) *string {
	if t == nil {
		return nil
	}
	return s.text(*t)
}

// sharedHints returns the one copy of hints that repeat: few sets of zones and nodes
// exist, and each endpoint carries one.
func (s *slimmer) sharedHints(in *discoveryv1.EndpointHints) *discoveryv1.EndpointHints {
	if in == nil {
		return nil
	}
	var key strings.Builder
	for _, z := range in.ForZones {
		key.WriteString(z.Name + ",")
	}
	key.WriteString("/")
	for _, n := range in.ForNodes {
		key.WriteString(n.Name + ",")
	}
	h, ok := s.hints[key.String()]
	if !ok {
		h = &discoveryv1.EndpointHints{ForZones: slices.Clone(in.ForZones), ForNodes: slices.Clone(in.ForNodes)}
		s.hints[key.String()] = h
	}
	return h
}
