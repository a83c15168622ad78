// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package harness puts one test's world together: a namespace and three nodes on a running control plane, the emulated HNS
// of one of them, a network plugin that connects the Pods there, and hnsproxy itself: in process, or as hnsproxy.exe under
// Wine, which reaches that HNS through hcsshim.
//
// An oracle works out from the live API objects what that HNS must hold, with code of its own and none of hnsproxy's, and
// World.Converge waits until it does. HNS is held to the whole cluster, not to the test's namespace, so tests that share a
// control plane run one after the other.
package harness
