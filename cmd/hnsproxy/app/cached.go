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

// cachedService and cachedSlice are the objects in the informers' caches: the identity of a Service
// or EndpointSlice, and the value that the proxy's store shares. The cluster is thus in memory
// once, without labels, owners and managed fields that nothing here reads. The value is nil for a
// Service that is not proxied, and for a slice without a Service.
type (
	cachedService struct {
		metav1.ObjectMeta
		value *services.Service
		// err names the invalid fields of the object.
		err error
	}
	cachedSlice struct {
		metav1.ObjectMeta
		value *services.Slice
		err   error
	}
)

// cacheTransform converts objects for the informers' caches.
type cacheTransform struct {
	store *services.Store
	// externalIPs is whether spec.externalIPs is used.
	externalIPs bool
}

// transform is a cache.TransformFunc.
func (k cacheTransform) transform(obj any) (any, error) { return k.cached(obj), nil }

// cached returns what is cached of an object.
func (k cacheTransform) cached(obj any) any {
	switch o := obj.(type) {
	case *corev1.Service:
		out := &cachedService{ObjectMeta: identity(o.ObjectMeta)}
		out.value, out.err = services.ReadService(k.inForce(o))
		return out
	case *discoveryv1.EndpointSlice:
		out := &cachedSlice{ObjectMeta: identity(o.ObjectMeta)}
		out.value, out.err = k.store.ReadSlice(o)
		return out
	case *corev1.Node:
		return slimNode(o)
	}
	return obj // already transformed, or a tombstone
}

// inForce returns the Service without fields that a feature gate disables.
func (k cacheTransform) inForce(s *corev1.Service) *corev1.Service {
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

// slimNode drops unused fields; the images alone are most of a Node.
func slimNode(in *corev1.Node) *corev1.Node {
	out := &corev1.Node{ObjectMeta: identity(in.ObjectMeta)}
	out.DeletionTimestamp = in.DeletionTimestamp
	out.Labels = map[string]string{corev1.LabelTopologyZone: in.Labels[corev1.LabelTopologyZone]}
	out.Spec.PodCIDRs, out.Spec.Taints = in.Spec.PodCIDRs, in.Spec.Taints
	out.Status.Addresses = in.Status.Addresses
	return out
}
