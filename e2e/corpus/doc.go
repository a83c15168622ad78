// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package corpus shows that hnsproxy.exe takes the place of kube-proxy.exe where that is deployed: its test starts hnsproxy.exe
// with each command line and configuration file that is known from the field, unchanged, until Services work.
package corpus
