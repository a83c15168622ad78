// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package fineclock

import (
	"syscall"
	"time"
)

// slack is by how much Linux lets a sleep take longer (prctl(2), PR_SET_TIMERSLACK: 50 microseconds by default).
const slack = 50 * time.Microsecond

func pause(d time.Duration) {
	left := syscall.NsecToTimespec(int64(max(d-slack, time.Microsecond)))
	// A signal cuts it short and says how much is left.
	for syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
}
