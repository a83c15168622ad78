// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package profiles describes Windows releases and single machines by what their HNS does.
// Package probe finds a profile out on a node, package emulator behaves as one says.
package profiles
