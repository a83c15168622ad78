// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics provides the Prometheus metrics of hnsproxy: a Metrics type with a method per
// event, a decorator that measures a driver, and the handler for scrapes.
//
// Metrics with the same meaning as in kube-proxy have the names, labels and buckets of kube-proxy
// 1.37, so that existing dashboards, alerts and scale tests keep working. All others start with
// hnsproxy_. README.md lists every metric and when to act on it.
//
// Prometheus types are only exposed through New and Handler, and there is no global state: two
// Metrics on two registries are independent.
package metrics
