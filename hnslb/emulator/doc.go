// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package emulator emulates HNS in memory, for Linux, macOS and tests.
//
// It holds networks, endpoints and load balancers as HNS does, refuses what HNS refuses
// with HNS's own codes and words, carries out writes one at a time, loses and keeps what
// HNS loses and keeps over a restart, and answers where a packet would go. It is built
// from published source, reference pages and logs, not from HNS itself: each rule names
// its evidence, in its comment and in ../quirks.md, with the marks
//
//	[A] source, reference page or several logs   [B] one credible log or maintainer
//	[C] inference                                [?] unknown, a choice of ours
//
// An Emulator has five sides:
//
//   - hnslb.Driver, through which hnsproxy reads and writes it (driver.go);
//   - the host side, through which the network plugin, Windows and other programs change
//     it behind hnsproxy's back (host.go, life.go);
//   - what it tells: hnslb.Watcher, and one by one its notifications (notify.go);
//   - what goes wrong: Quirks belong to a Windows release and stand in its Profile,
//     Faults are switched at run time (package profiles, faults.go);
//   - what it knows: Dump for people, State for files, Trace for packets, Dark for the
//     time in which a frontend served nobody, and counts of calls.
//
// Package hcnserver adds a sixth: it serves the emulator to unmodified Windows programs, one
// layer below hnslb.Driver (hcn.go).
//
// The code is split the same way: store.go keeps objects and their indexes and knows no
// rules, rules.go holds the rules and changes nothing, the verbs join both.
package emulator
