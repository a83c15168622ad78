// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package proxier programs HNS to match the Services and EndpointSlices of a cluster. One loop does it for both IP families
// (law 11):
//
//	services.Store --Services that changed--+
//	Node, requests -------------------------+      +--> calls and lists --> hnslb.Driver
//	                                        v      |                             |
//	                                      engine.Engine <-------- answers -------+
//	                                               |
//	                                               +--> transitions --> Table, Events,
//	                                                                    metrics, logs, health
//
// Package engine decides everything, and is pure. This package runs it (law 14): proxier.go
// has the loop, drive.go makes each call on a goroutine of its own and hands the answer back,
// report.go tells others what became of whom, status.go keeps the Table.
//
// New refuses a configuration that cannot work and names everything that is wrong with it. It
// does not touch HNS; only Run does.
//
// Run may be called once, after the first lists of Services and EndpointSlices are in the
// Store: whatever those do not name counts as deleted. All other methods of Proxier, and those
// of Store and Table, may be called from any goroutine, before, during and after Run; none of
// them waits for HNS. The driver is called from several goroutines at once. Config.Health and
// Config.Tell are called by goroutines of Run and must not block.
package proxier
