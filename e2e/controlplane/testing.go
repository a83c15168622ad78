// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// New starts a control plane for one test and its subtests, and closes it when they are done. When they failed, it prints
// what the programs logged last.
func New(tb testing.TB) *ControlPlane {
	tb.Helper()
	c, err := Start(tb.Context(), tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		c.Close()
		if tb.Failed() {
			tb.Log(c.Logs(20))
		}
	})
	return c
}

// Namespace creates a namespace with a name of its own, for tests that share a control plane. When the test is done it removes
// all Services and Pods there and waits until the EndpointSlices are gone too, so that the next test meets none of them. The
// namespace itself stays, empty.
func (c *ControlPlane) Namespace(tb testing.TB) string {
	tb.Helper()
	namespace, err := c.Admin.CoreV1().Namespaces().Create(tb.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}, metav1.CreateOptions{})
	if err != nil {
		tb.Fatalf("create a namespace: %v", err)
	}
	tb.Cleanup(func() {
		// The test's own context is done by now.
		if err := c.Empty(context.Background(), namespace.Name); err != nil {
			tb.Errorf("empty namespace %s: %v", namespace.Name, err)
		}
	})
	return namespace.Name
}

// Empty removes all Services and Pods of a namespace and returns when their EndpointSlices are gone too.
func (c *ControlPlane) Empty(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	core, now := c.Admin.CoreV1(), metav1.DeleteOptions{GracePeriodSeconds: new(int64)}
	services, err := core.Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, service := range services.Items {
		if err := core.Services(namespace).Delete(ctx, service.Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	if err := core.Pods(namespace).DeleteCollection(ctx, now, metav1.ListOptions{}); err != nil {
		return err
	}
	// The garbage collector takes those of the Services; this takes those that a test made itself.
	if err := c.Admin.DiscoveryV1().EndpointSlices(namespace).DeleteCollection(ctx, now, metav1.ListOptions{}); err != nil {
		return err
	}
	return wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		slices, err := c.Admin.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{Limit: 1})
		return err == nil && len(slices.Items) == 0, err
	})
}
