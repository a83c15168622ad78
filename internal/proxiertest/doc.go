// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package proxiertest holds what tests of a proxy share.
//
// A LawKeeper stands between a proxy and its driver and notes every call that breaks a
// law of the design, whether or not the end state comes out right. It judges by what the
// proxy can know: the lists it was given and the answers to its own calls. So it goes in
// front of any driver, with faults and timeouts behind it:
//
//	proxier -> LawKeeper -> hnslb.WithTimeout -> faulty -> emulator
package proxiertest
