// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Pod describes a Pod. Namespace, Name and Node are needed.
type Pod struct {
	Namespace, Name string
	// Node is the name of a node that was added.
	Node   string
	Labels map[string]string
	// Ports are the container's; a Service needs them only when it names its target port.
	Ports []corev1.ContainerPort
	// IPs are the Pod's addresses; empty means those that the node gives out.
	IPs []netip.Addr
	// HostNetwork gives the Pod the node's addresses.
	HostNetwork bool
	// NotReady starts the Pod running, but not ready.
	NotReady bool
}

// RunPod creates a Pod and brings it to Running, as scheduler, kubelet and network plugin do together. The result carries the
// Pod's addresses in its status.
func (k *Kubelet) RunPod(ctx context.Context, pod Pod) (*corev1.Pod, error) {
	ips := pod.IPs
	if len(ips) == 0 {
		var err error
		if ips, err = k.podIPs(pod.Node, pod.HostNetwork); err != nil {
			return nil, fmt.Errorf("run Pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
	}
	object, err := k.client.CoreV1().Pods(pod.Namespace).Create(ctx, podObject(pod), metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create Pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	object.Status = runningStatus(ips, !pod.NotReady)
	if plugin := k.plugin(object); plugin != nil {
		if err := plugin.Add(ctx, object); err != nil {
			return nil, fmt.Errorf("connect Pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
	}
	object, err = k.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, object, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("write status of Pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return object, nil
}

func podObject(pod Pod) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, Labels: pod.Labels},
		Spec: corev1.PodSpec{
			NodeName:    pod.Node, // no scheduler needed
			HostNetwork: pod.HostNetwork,
			Containers:  []corev1.Container{{Name: "server", Image: "none.invalid/server", Ports: pod.Ports}},
		},
	}
}

func runningStatus(ips []netip.Addr, ready bool) corev1.PodStatus {
	now := metav1.Now()
	status := corev1.PodStatus{
		Phase:      corev1.PodRunning,
		StartTime:  &now,
		Conditions: readyConditions(ready),
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: "server", Image: "none.invalid/server", Ready: ready, Started: &ready,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		}},
	}
	for _, ip := range ips {
		status.PodIPs = append(status.PodIPs, corev1.PodIP{IP: ip.String()})
	}
	if len(ips) > 0 {
		status.PodIP = ips[0].String()
	}
	return status
}

func readyConditions(ready bool) []corev1.PodCondition {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	var conditions []corev1.PodCondition
	for _, kind := range []corev1.PodConditionType{corev1.ContainersReady, corev1.PodReady} {
		conditions = append(conditions, corev1.PodCondition{Type: kind, Status: status, LastTransitionTime: metav1.Now()})
	}
	return conditions
}

// SetReady makes a Pod ready or not ready, as its readiness probe would, also while it is terminating.
func (k *Kubelet) SetReady(ctx context.Context, namespace, name string, ready bool) error {
	return k.patchStatus(ctx, namespace, name, corev1.PodStatus{Conditions: readyConditions(ready)})
}

// SetPhase ends a Pod: PodFailed is what an evicted Pod has, PodSucceeded one that ran to its end. The object stays.
func (k *Kubelet) SetPhase(ctx context.Context, namespace, name string, phase corev1.PodPhase) error {
	return k.patchStatus(ctx, namespace, name, corev1.PodStatus{Phase: phase, Conditions: readyConditions(false)})
}

func (k *Kubelet) patchStatus(ctx context.Context, namespace, name string, status corev1.PodStatus) error {
	body, err := json.Marshal(map[string]any{"status": status})
	if err == nil {
		_, err = k.client.CoreV1().Pods(namespace).
			Patch(ctx, name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status")
	}
	if err != nil {
		return fmt.Errorf("write status of Pod %s/%s: %w", namespace, name, err)
	}
	return nil
}

// TerminatePod begins a graceful deletion: the Pod has its deletion time, keeps running and keeps its readiness, so that its
// endpoint is serving and terminating, until RemovePod.
func (k *Kubelet) TerminatePod(ctx context.Context, namespace, name string) error {
	// Nobody acts on the period: no kubelet watches it.
	return k.deletePod(ctx, namespace, name, 3600)
}

// RemovePod ends a Pod at once, terminating or not: it is disconnected and its object is deleted, with no grace.
func (k *Kubelet) RemovePod(ctx context.Context, namespace, name string) error {
	object, err := k.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("remove Pod %s/%s: %w", namespace, name, err)
	}
	if plugin := k.plugin(object); plugin != nil {
		if err := plugin.Del(ctx, object); err != nil {
			return fmt.Errorf("disconnect Pod %s/%s: %w", namespace, name, err)
		}
	}
	return k.deletePod(ctx, namespace, name, 0)
}

func (k *Kubelet) deletePod(ctx context.Context, namespace, name string, graceSeconds int64) error {
	err := k.client.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &graceSeconds})
	if err != nil {
		return fmt.Errorf("delete Pod %s/%s: %w", namespace, name, err)
	}
	return nil
}
