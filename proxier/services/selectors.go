// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import corev1 "k8s.io/api/core/v1"

// The label selectors with which kube-proxy 1.37 watches objects: no Services of another proxy, and
// no EndpointSlices of headless Services. Headless Services themselves are filtered by ReadService.
const (
	ServiceSelector = "!service.kubernetes.io/service-proxy-name"
	SliceSelector   = ServiceSelector + ",!" + corev1.IsHeadlessService
)
