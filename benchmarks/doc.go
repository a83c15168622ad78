// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package benchmarks measures hnsproxy's core on the emulator: driver calls, which have
// no noise, and time and memory, which have. What has a bar is held by a test, so that CI
// fails when it is missed; `make bench` prints the figures.
package benchmarks
