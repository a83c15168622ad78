// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package services stores the Services, EndpointSlices and the Node as small values with parsed
// addresses, and tracks which Services have changed since they were last taken.
//
// convert.go converts API objects to those values, store.go holds the latest version of each. An
// update that does not change the converted value, such as one of metadata, marks nothing as
// changed (law 1).
package services
