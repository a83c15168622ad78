// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package events reports, once, what Windows does not support for a Service, or why it is
// not fully programmed (law 13), in a log line and an Event on the Service.
//
// A cause is one Reason of one Service, for any number of its frontends. It is reported once it has
// lasted as long as its desired.EventPolicy requires, and again only after it was gone. Services
// without causes use no memory.
package events
