// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bulk writes many Services and EndpointSlices straight into an API server, without Pods, and tells when an emulated HNS
// holds them.
package bulk
