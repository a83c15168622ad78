// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package takeover tests that hnsproxy.exe takes a node over from kube-proxy.exe as it runs, and that kube-proxy.exe can have it
// back: both programs as they are shipped, under Wine, on one emulated HNS.
package takeover
