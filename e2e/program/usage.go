// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a program has taken of the machine. Wine's server, which does for all programs what Windows' kernel would, is not
// part of it.
type Usage struct {
	CPU time.Duration
	// PeakMemory is the largest resident set, in bytes.
	PeakMemory int64
}

// tick is the unit of CPU times in /proc, whatever the kernel's own (proc(5): sysconf(_SC_CLK_TCK), 100 on every Linux).
const tick = 10 * time.Millisecond

// Usage returns what the program has taken so far. It fails once the program has ended.
func (r *Running) Usage() (Usage, error) {
	u, err := usage(r.PID())
	if err != nil {
		return Usage{}, fmt.Errorf("usage of %s: %w", r.Name(), err)
	}
	return u, nil
}

func usage(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	// The second field is the name, in parentheses; user and system time are 14 and 15.
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return Usage{}, fmt.Errorf("/proc/%d/stat has %d fields after the name", pid, len(fields))
	}
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return Usage{}, err
	}
	system, err := strconv.Atoi(fields[12])
	if err != nil {
		return Usage{}, err
	}
	peak, err := peakMemory(pid)
	return Usage{CPU: time.Duration(user+system) * tick, PeakMemory: peak}, err
}

func peakMemory(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmHWM: the process has ended", pid)
}
