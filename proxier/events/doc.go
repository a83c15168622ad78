// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package events tells users once what Windows cannot do for a Service, or what keeps it
// from being served (law 13): as a log line, and as an Event on the Service.
//
// A cause is one Reason of one Service, however many of its frontends it concerns. It is
// told when it has lasted as long as desired.Tellings says, and not again before it was
// gone. A Service without causes costs nothing.
package events
