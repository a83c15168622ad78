// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hnslb says what hnsproxy knows about load balancing in the Windows Host
// Networking Service (HNS), in hnsproxy's own words: plain values, the Driver through
// which they are read and written, identities, and classified errors.
//
// It imports nothing else of this module. Package hcn drives the real HNS, package
// emulator is an HNS for every other place, as package profiles describes it, and package
// drivertest is the one suite that every driver passes. What HNS is
// known to get wrong stands in quirks.md, how it behaves as a whole in docs/hns.md.
//
// Drivers may also tell that HNS itself changed: that its service went or came, or its
// networks (Watcher, ServiceQuerier). Package watch makes one stream of that, and of what
// it finds by asking, so that it works with every driver.
package hnslb
