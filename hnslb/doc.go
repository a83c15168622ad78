// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hnslb models load balancing in the Windows Host Networking Service (HNS): plain value
// types, the Driver interface that reads and writes them, identities, and classified errors.
//
// It imports nothing else of this module. Package hcn is the driver of the real HNS, package
// emulator an HNS in memory that behaves as package profiles describes, and package drivertest the
// conformance tests that every driver passes. Known bugs of HNS are in quirks.md, its general
// behavior in docs/hns.md.
//
// Drivers may also report changes of HNS itself: that its service has stopped or started, or that
// its networks have changed (Watcher, ServiceQuerier). Package watch combines these with polling
// into one stream, so that it works with every driver.
package hnslb
