// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package commandline compares hnsproxy's command line and configuration file with those of
// kube-proxy: its tests ask kube-proxy's own code for flags, defaults, conversion and
// validation. Differences that are meant stand in a list with their reasons, and an entry
// that no longer differs is a failure.
package commandline
