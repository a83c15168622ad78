// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics provides the Prometheus metrics of hnsproxy: a Metrics value with verbs, a
// decorator that measures a driver, and the page that Prometheus reads.
//
// Where the meaning is that of kube-proxy, name, labels and buckets are those of
// kube-proxy 1.37, so that dashboards, alerts and scale tests written for it keep working.
// What kube-proxy has no name for starts with hnsproxy_. README.md lists every metric and
// says when to worry.
//
// No Prometheus type leaves this package except through New and Handler, and nothing here
// is global: two Metrics on two registries do not know of each other.
package metrics
