// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package diagnose has the commands by which people find out, on a node and with nothing but
// hnsproxy itself, what hnsproxy and HNS do and why: status, trace, doctor, dump and cleanup.
//
// What needs Windows, a cluster or a running hnsproxy is read first and kept as a value; what
// is concluded from it is a function of that value alone, in packages below this one.
package diagnose
