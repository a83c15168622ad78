// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"syscall"
	"time"
)

// processTimes returns the CPU seconds of this process. Its peak is left to the samples of the heap.
func processTimes() (cpu float64, peak uint64, err error) {
	self, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0, 0, err
	}
	var made, ended, system, user syscall.Filetime
	if err := syscall.GetProcessTimes(self, &made, &ended, &system, &user); err != nil {
		return 0, 0, err
	}
	// A Filetime that is a duration counts 100 ns.
	units := func(f syscall.Filetime) time.Duration {
		return time.Duration(int64(f.HighDateTime)<<32 | int64(f.LowDateTime))
	}
	return ((units(system) + units(user)) * 100).Seconds(), 0, nil
}
