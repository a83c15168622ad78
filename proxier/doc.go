// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package proxier programs HNS to match the Services and EndpointSlices of a cluster. One loop
// serves both IP families (law 11):
//
//	services.Store --Services that changed--+
//	Node, requests -------------------------+      +--> calls and lists --> hnslb.Driver
//	                                        v      |                             |
//	                                      engine.Engine <-------- answers -------+
//	                                               |
//	                                               +--> transitions --> Table, Events,
//	                                                                    metrics, logs, health
//
// Package engine makes all decisions and is pure. This package runs it (law 14): proxier.go
// contains the loop, drive.go makes each HNS call on its own goroutine and returns the result to
// the loop, report.go publishes transitions, status.go holds the Table.
//
// New validates the configuration and returns all errors at once. Only Run accesses HNS.
//
// Run may be called once, after the initial Services and EndpointSlices are in the Store: objects
// missing from it count as deleted. All other methods of Proxier, and those of Store and Table, may
// be called from any goroutine, before, during and after Run, and never wait for HNS. The driver is
// called from several goroutines at once. Config.Health and Config.SendEvent are called by
// goroutines of Run and must not block.
package proxier
