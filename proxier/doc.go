// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package proxier keeps HNS as Kubernetes wants it. One loop does it for both IP families
// (law 11):
//
//	services.Store --dirty Services--> desired.State --changed frontends--> queue
//	                                                                          |
//	observed.View <---------- apply.Batch <--------- plan.Frontend <---------+
//
// A round takes the Services that changed, computes their frontends, and carries out the
// most urgent part of the queue, a few steps at a time, so that what changes meanwhile is
// merged and what is urgent overtakes. HNS is listed at the start, on a timer, when the
// network changed, and after any call whose outcome is unknown; never for a change.
//
// What keeps a frontend from being in force stands in the Table at once, and is told to
// users by package events, once.
package proxier
