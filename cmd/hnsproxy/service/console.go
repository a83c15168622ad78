// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

// The events of a console by which Windows tells processes of what concerns them all.
const (
	eventLogoff   = 5 // CTRL_LOGOFF_EVENT
	eventShutdown = 6 // CTRL_SHUTDOWN_EVENT
)

// ignoredEvent reports whether a process of a session has nothing to do about an event of its
// console. Services, and HostProcess containers, are in session 0, where nobody logs on or off.
func ignoredEvent(event, session uint32) bool { return event == eventLogoff && session == 0 }
