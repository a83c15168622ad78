// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics compares hnsproxy's metrics with those that kube-proxy's own code registers
// on Windows: names, types, labels, buckets, help and stability.
package metrics
