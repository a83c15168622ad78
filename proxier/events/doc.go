// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package events reports, once, what Windows does not support for a Service, or why it is
// not fully programmed (law 13), in a log line and an Event on the Service.
//
// A cause is one Reason of one Service, however many of its frontends it concerns. It is
// told when it has lasted as long as desired.Tellings says, and not again before it was
// gone. A Service without causes costs nothing.
package events
