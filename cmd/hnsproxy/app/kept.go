// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"unique"

	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// keptService and keptSlice are what informers keep of a Service or EndpointSlice: its
// identity, and the value that the proxy's store keeps too. So a cluster is in memory
// once, without the labels, owners and managed fields that nobody here reads. A Service
// that is not proxied, or a slice that serves none, is nil.
type (
	keptService struct {
		metav1.ObjectMeta
		value *services.Service
		// err says what of the object could not be understood.
		err error
	}
	keptSlice struct {
		metav1.ObjectMeta
		value *services.Slice
		err   error
	}
)

// keeper makes what informers keep.
type keeper struct {
	store *services.Store
	// externalIPs tells that spec.externalIPs is in force.
	externalIPs bool
}

// transform is a cache.TransformFunc.
func (k keeper) transform(obj any) (any, error) { return k.keep(obj), nil }

// keep returns what is kept of an object.
func (k keeper) keep(obj any) any {
	switch o := obj.(type) {
	case *corev1.Service:
		out := &keptService{ObjectMeta: identity(o.ObjectMeta)}
		out.value, out.err = services.ReadService(k.inForce(o))
		return out
	case *discoveryv1.EndpointSlice:
		out := &keptSlice{ObjectMeta: identity(o.ObjectMeta)}
		out.value, out.err = k.store.ReadSlice(o)
		return out
	case *corev1.Node:
		return slimNode(o)
	}
	return obj // transformed before, or a tombstone
}

// inForce returns the Service without what a feature gate takes out of force.
func (k keeper) inForce(s *corev1.Service) *corev1.Service {
	if k.externalIPs || len(s.Spec.ExternalIPs) == 0 {
		return s
	}
	out := *s
	out.Spec.ExternalIPs = nil
	return &out
}

func identity(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:       unique.Make(m.Namespace).Value(),
		Name:            m.Name,
		UID:             m.UID,
		ResourceVersion: m.ResourceVersion,
	}
}

// slimNode drops what nobody here reads; the images alone are most of a Node.
func slimNode(in *corev1.Node) *corev1.Node {
	out := &corev1.Node{ObjectMeta: identity(in.ObjectMeta)}
	out.DeletionTimestamp = in.DeletionTimestamp
	out.Labels = map[string]string{corev1.LabelTopologyZone: in.Labels[corev1.LabelTopologyZone]}
	out.Spec.PodCIDRs, out.Spec.Taints = in.Spec.PodCIDRs, in.Spec.Taints
	out.Status.Addresses = in.Status.Addresses
	return out
}
