// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package measure

import (
	"runtime"
	"syscall"
	"time"
)

// processTimes returns the CPU seconds and the largest resident set of this process.
func processTimes() (cpu float64, peak uint64, err error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0, err
	}
	unit := uint64(1)
	if runtime.GOOS == "linux" {
		unit = 1 << 10
	}
	took := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	return took.Seconds(), uint64(u.Maxrss) * unit, nil
}
