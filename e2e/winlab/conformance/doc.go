// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package conformance holds every driver's suite for the real driver, hnslb/hcn: a Windows test program that package winlab
// runs under Wine. HNS_EMULATOR and HNS_CONTROL say where the emulator is served.
package conformance
