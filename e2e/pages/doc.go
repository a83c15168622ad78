// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pages asks hnsproxy.exe and kube-proxy.exe the same requests over HTTP, both under
// Wine and on the same ports, and compares the answers: status, headers and body, byte for
// byte after what cannot be equal has been taken out by rules that say why. A real Prometheus
// scrapes both.
package pages
