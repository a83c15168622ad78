// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package faulty makes a hnslb.Driver fail on purpose, so that failure is an input of
// tests like any other.
//
// A Fault says which calls fail and how: the n-th call of a verb, or each call by chance;
// with any error class or HRESULT; before the call reaches the driver, or after it took
// effect, as when HNS restarts before it answers; late as well. Scenarios lists every
// single failure, so that a test can run once with each.
//
// Everything is decided by the seed and by counting, never by the clock, so a failing
// seed fails again.
package faulty
