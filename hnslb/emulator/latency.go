// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// Latency is how long HNS takes. No figures are published; the model is that writes are
// carried out one at a time in order of arrival, and that reads do not wait for them [C:
// docs/hns.md, Performance and concurrency]. Calls that are refused take as long as those that
// succeed.
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

// tailOdds is how often a call takes Timing.P99 instead of Timing.Median.
const tailOdds = 0.01

// takes returns how long a call takes.
func (e *Emulator) takes(c call) time.Duration {
	if len(e.timings) == 0 {
		if c.writes() {
			return e.latency.Write
		}
		return e.latency.Read
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	held := max(len(e.store.endpoints), len(e.store.balancers))
	t := timingOf(e.timings, c.verb, held)
	if t.P99 > t.Median && e.chance.Float64() < tailOdds {
		return t.P99
	}
	return t.Median
}

// timingOf returns the timing of a verb for the largest size that is not above held, failing
// that for the smallest. A call that stands for no verb takes no time: what a verb was
// measured to take includes the calls that prepare and follow it.
func timingOf(all []profiles.Timing, v hnslb.Verb, held int) profiles.Timing {
	var best profiles.Timing
	found := false
	for _, t := range all {
		if t.Verb != v {
			continue
		}
		fits, bestFits := t.Objects <= held, best.Objects <= held
		if !found || fits && !bestFits || fits == bestFits && (t.Objects > best.Objects) == fits {
			best, found = t, true
		}
	}
	return best
}
