// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package drivertest is the one conformance suite for every hnslb.Driver: what the
// interface promises, each promise a named test.
//
// It says nothing about how HNS keeps its promises: the same suite runs on the emulator in
// each of its profiles and on hcsshim, so it accepts every answer that the contract allows
// and asks the driver's Features where Windows releases differ.
package drivertest
