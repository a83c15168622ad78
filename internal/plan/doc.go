// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plan computes the steps, in order, that take HNS from the observed to the
// desired state. It is pure (law 2): it reads the desired state and the view of HNS, and
// returns steps in our keys (law 4). Package engine carries out the first step, or several
// creations of endpoints side by side, and plans anew when it knows the result.
//
// Make before break (law 8) is in the order of the steps: an endpoint is created before
// the load balancer that names it, a load balancer is changed in place where HNS can and
// by two adjacent steps where it cannot, and an endpoint is deleted only once nothing in
// HNS names it.
package plan
