// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import "time"

// Latency is how long HNS takes. No figures are published; the model is that writes are
// carried out one at a time in order of arrival, and that reads do not wait for them [C:
// reference section 8]. Calls that are refused take as long as those that succeed.
type Latency struct {
	Read, Write time.Duration
}

// NoLatency answers at once, without a timer.
func NoLatency() Latency { return Latency{} }

// WS2022Latency is 8 ms per write, the middle of a Windows kube-proxy's histogram (k8s
// issue 106580) and what the baseline of upstream was measured with, and 0.1 ms per read.
func WS2022Latency() Latency {
	return Latency{Read: 100 * time.Microsecond, Write: 8 * time.Millisecond}
}
