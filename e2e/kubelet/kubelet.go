// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubelet plays the kubelets of a cluster without machines: it creates Nodes, gives Pods their addresses, and writes
// the status that the real EndpointSlice controller turns into EndpointSlices. Pods are bare: there is no scheduler and no
// ReplicaSet; Group stands in for a Deployment.
package kubelet

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// NetworkPlugin is what a kubelet calls to connect a Pod, in CNI's words. On a Windows node that makes or deletes the Pod's
// local HNS endpoint. It is not called for Pods on the host network.
type NetworkPlugin interface {
	// Add connects a Pod whose status holds its addresses already; the API server gets that status only afterwards.
	Add(ctx context.Context, pod *corev1.Pod) error
	// Del disconnects a Pod, before its object is deleted.
	Del(ctx context.Context, pod *corev1.Pod) error
}

// Kubelet plays the kubelets of all nodes of a cluster. Its methods may be called from several goroutines.
type Kubelet struct {
	client kubernetes.Interface

	mu    sync.Mutex
	nodes map[string]*nodeState
}

type nodeState struct {
	node   Node
	last   []netip.Addr // the address given out last, for each of node.PodCIDRs
	plugin NetworkPlugin
}

// New returns a Kubelet without nodes. The client must be allowed to write Nodes, Pods and their status.
func New(client kubernetes.Interface) *Kubelet {
	return &Kubelet{client: client, nodes: map[string]*nodeState{}}
}

// Node describes a node. Name, InternalIPs and PodCIDRs are needed.
type Node struct {
	Name string
	// Zone becomes the label topology.kubernetes.io/zone, which topology hints go by.
	Zone string
	// OS becomes the label kubernetes.io/os; empty means linux.
	OS string
	// Labels are further labels.
	Labels map[string]string
	// InternalIPs are the node's addresses, at most one of each family, and those of its Pods on the host network.
	InternalIPs []netip.Addr
	// PodCIDRs are the ranges for the Pods of this node, at most one of each family. The first two addresses of each stay
	// free, as plugins keep them for gateway and bridge.
	PodCIDRs []netip.Prefix
	// Plugin connects this node's Pods. It may be nil.
	Plugin NetworkPlugin
}

// AddNode creates the Node with the status of a healthy one: addresses, capacity (which topology hints need) and Ready.
func (k *Kubelet) AddNode(ctx context.Context, node Node) (*corev1.Node, error) {
	object := nodeObject(node)
	created, err := k.client.CoreV1().Nodes().Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create Node %s: %w", node.Name, err)
	}
	created.Status = object.Status
	created, err = k.client.CoreV1().Nodes().UpdateStatus(ctx, created, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("write status of Node %s: %w", node.Name, err)
	}
	state := &nodeState{node: node, plugin: node.Plugin}
	for _, cidr := range node.PodCIDRs {
		state.last = append(state.last, cidr.Masked().Addr().Next())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.nodes[node.Name] = state
	return created, nil
}

// RemoveNode deletes a Node. Its Pods stay, as nothing collects them here.
func (k *Kubelet) RemoveNode(ctx context.Context, name string) error {
	if err := k.client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("delete Node %s: %w", name, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.nodes, name)
	return nil
}

func nodeObject(node Node) *corev1.Node {
	labels := map[string]string{corev1.LabelHostname: node.Name, corev1.LabelOSStable: node.OS}
	if node.OS == "" {
		labels[corev1.LabelOSStable] = "linux"
	}
	if node.Zone != "" {
		labels[corev1.LabelTopologyZone] = node.Zone
	}
	maps.Copy(labels, node.Labels)
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("4"),
		corev1.ResourceMemory: resource.MustParse("8Gi"),
		corev1.ResourcePods:   resource.MustParse("250"),
	}
	object := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, Labels: labels},
		Status: corev1.NodeStatus{
			Capacity:    capacity,
			Allocatable: capacity,
			Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastTransitionTime: metav1.Now(),
			}},
			Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: node.Name}},
		},
	}
	for _, ip := range node.InternalIPs {
		object.Status.Addresses = append(object.Status.Addresses,
			corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip.String()})
	}
	for _, cidr := range node.PodCIDRs {
		object.Spec.PodCIDRs = append(object.Spec.PodCIDRs, cidr.String())
	}
	if len(object.Spec.PodCIDRs) > 0 {
		object.Spec.PodCIDR = object.Spec.PodCIDRs[0]
	}
	return object
}

// podIPs returns the addresses for a new Pod on the node: the node's own, or the next of each range. Addresses are not used
// twice, so that a test can tell a new Pod's from an old one's.
func (k *Kubelet) podIPs(node string, hostNetwork bool) ([]netip.Addr, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	state, ok := k.nodes[node]
	if !ok {
		return nil, fmt.Errorf("node %q was not added", node)
	}
	if hostNetwork {
		return state.node.InternalIPs, nil
	}
	var ips []netip.Addr
	for i, cidr := range state.node.PodCIDRs {
		ip := state.last[i].Next()
		if !cidr.Contains(ip) {
			return nil, fmt.Errorf("no address left in %s of node %q", cidr, node)
		}
		state.last[i] = ip
		ips = append(ips, ip)
	}
	return ips, nil
}

func (k *Kubelet) plugin(pod *corev1.Pod) NetworkPlugin {
	k.mu.Lock()
	defer k.mu.Unlock()
	state := k.nodes[pod.Spec.NodeName]
	if state == nil || pod.Spec.HostNetwork {
		return nil
	}
	return state.plugin
}
