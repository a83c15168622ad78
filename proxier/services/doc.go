// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package services stores the state of Kubernetes: the Services, EndpointSlices and the Node
// that matter here, as small values with parsed addresses, and the set of Services that
// changed since they were last taken.
//
// convert.go turns API objects into those values, store.go keeps the latest of each.
// A change that leaves the converted value as it was, e.g. of metadata only, makes
// nothing dirty (law 1).
package services
