// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package realnode tests hnsproxy on a Windows machine with a real HNS: the conformance suite of drivers, and hnsproxy.exe that
// balances connections to real listeners. docs/real-windows.md says how to run it.
//
// Its tests have the build tag realnode, since they make and delete objects of HNS. They work on a network of their own, whose name
// begins with "hnsproxy-", and remove what they made.
package realnode
