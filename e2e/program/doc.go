// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package program runs the two Service proxies for Windows as they are shipped, hnsproxy.exe and upstream's kube-proxy.exe, under
// Wine on a served emulator (package winlab) and a real API server (package controlplane). Both get the same flags.
package program
