// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// SetIngress writes the load balancer status of a Service of type LoadBalancer, as a cloud's service controller does when the
// load balancer is ready. It replaces what was there; without ingress the status becomes empty.
func (c *ControlPlane) SetIngress(ctx context.Context, namespace, service string, ingress ...corev1.LoadBalancerIngress) error {
	status := map[string]any{"status": map[string]any{"loadBalancer": map[string]any{"ingress": ingress}}}
	body, err := json.Marshal(status)
	if err != nil {
		return fmt.Errorf("set ingress of Service %s/%s: %w", namespace, service, err)
	}
	_, err = c.Admin.CoreV1().Services(namespace).
		Patch(ctx, service, types.MergePatchType, body, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("set ingress of Service %s/%s: %w", namespace, service, err)
	}
	return nil
}
