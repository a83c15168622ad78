// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package upstream proves hnsproxy's choice of endpoints against the code of Kubernetes
// that the Linux kube-proxy chooses with: k8s.io/kubernetes/pkg/proxy, from API objects to
// the lists that proxy.CategorizeEndpoints returns.
//
//	            +--> their trackers --> CategorizeEndpoints --> faces --rules--> expected
//	random case |                                                                   |  equal?
//	            +--> services.Store --> desired.Compute ----------------------> frontends
//
// theirs_test.go asks upstream, and says in our words what its nftables proxy makes of the
// answer. rules_test.go lists each way in which hnsproxy differs on purpose: without a rule
// the two must agree. generate_test.go draws the cases, tally_test.go counts which branches
// they took, and fails when one was hardly taken.
package upstream
