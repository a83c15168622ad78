// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package deploy tests how hnsproxy gets onto nodes: the Helm chart in deploy/chart, with Helm itself, the manifests that are
// rendered from it, and both on a real API server, with hnsproxy.exe under Wine where Pods have to run. It is a module of its own
// so that Helm stays out of all others.
package deploy
