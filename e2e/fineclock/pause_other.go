// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package fineclock

import "time"

// pause is as coarse as Go's own timers here.
func pause(d time.Duration) { <-time.After(d) }
