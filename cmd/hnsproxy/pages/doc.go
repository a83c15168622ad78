// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pages serves what kube-proxy 1.37 serves on --metrics-bind-address, with the same
// status codes, headers and bodies, and /debug/frontends, which kube-proxy does not have.
//
// Upstream takes the mux, /healthz, /flagz, /statusz and /debug from k8s.io/apiserver. That
// module would bring gRPC, CEL and OpenTelemetry into the program, 209 packages and 19 MB,
// for pages of a few lines each. They are written again here, and an end-to-end test holds
// them against kube-proxy.exe byte for byte.
package pages
