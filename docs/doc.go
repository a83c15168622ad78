// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package docs holds the documentation of hnsproxy, and a test that the links in it lead
// somewhere.
package docs
