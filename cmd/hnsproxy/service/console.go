// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

// eventLogoff is the event CTRL_LOGOFF_EVENT of a console.
const eventLogoff = 5

// ignoredEvent reports whether a process of a session has nothing to do about an event of its
// console. Services, and HostProcess containers, are in session 0, where nobody logs on or off.
func ignoredEvent(event, session uint32) bool { return event == eventLogoff && session == 0 }
