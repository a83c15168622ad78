// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import corev1 "k8s.io/api/core/v1"

// The label selectors of the objects that a proxy of this kind serves, as kube-proxy 1.37
// asks an API server for them: none that another proxy serves, and no slice of a headless
// Service. A Service says itself that it is headless, see ReadService.
const (
	ServiceSelector = "!service.kubernetes.io/service-proxy-name"
	SliceSelector   = ServiceSelector + ",!" + corev1.IsHeadlessService
)
