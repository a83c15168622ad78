// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plan computes the ordered steps that take HNS from the observed to the desired state. It
// is pure (law 2): it reads the desired state and the view of HNS, and returns steps in terms of
// frontends and addresses (law 4). Package engine executes the first step, or several endpoint
// creations concurrently, and plans again when the result is known.
//
// The order of the steps implements make before break (law 8): an endpoint is created before the
// load balancer that references it; a load balancer is updated in place if HNS supports it, and by
// two adjacent steps if not; an endpoint is deleted only once nothing in HNS references it.
package plan
