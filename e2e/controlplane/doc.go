// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controlplane runs a Kubernetes control plane for tests: etcd, kube-apiserver and kube-controller-manager, the
// real programs, on loopback ports and in one directory.
//
// What is real: the API over TLS with its validation, defaulting, watches and RBAC, the allocation of cluster IPs and node
// ports, the EndpointSlice controller and the garbage collector that deletes the slices of a deleted Service. What nobody
// plays here: scheduler, kubelets (package kubelet does), workload controllers, and namespace deletion.
//
// hack/control-plane.sh makes the programs. They listen on 127.0.0.1 only, and die with the process that started them.
package controlplane
