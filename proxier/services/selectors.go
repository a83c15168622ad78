// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const proxyName = "service.kubernetes.io/service-proxy-name"

// The label selectors with which kube-proxy 1.37 watches objects: no Services of another proxy, and
// no EndpointSlices of headless Services. Headless Services themselves are filtered by ReadService.
const (
	ServiceSelector = "!" + proxyName
	SliceSelector   = ServiceSelector + ",!" + corev1.IsHeadlessService
)

// Serves tells whether the selector of its kind chooses an object.
func Serves(obj metav1.Object) bool {
	_, other := obj.GetLabels()[proxyName]
	_, headless := obj.GetLabels()[corev1.IsHeadlessService]
	switch obj.(type) {
	case *corev1.Service:
		return !other
	case *discoveryv1.EndpointSlice:
		return !other && !headless
	}
	return true
}
