// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
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

// Timing is how long one verb takes while HNS holds that many objects, as it was measured
// on a machine.
type Timing struct {
	Verb hnslb.Verb
	// Objects counts the endpoints or the load balancers, whichever are more.
	Objects int
	// Median of the calls, and what one in a hundred exceeds.
	Median, P99 time.Duration
}

// timingJSON is a Timing with durations as people write them.
type timingJSON struct {
	Verb        hnslb.Verb
	Objects     int
	Median, P99 string
}

// MarshalJSON writes durations as "8ms".
func (t Timing) MarshalJSON() ([]byte, error) {
	return json.Marshal(timingJSON{t.Verb, t.Objects, t.Median.String(), t.P99.String()})
}

// UnmarshalJSON reads what MarshalJSON wrote, and refuses fields that it does not know.
func (t *Timing) UnmarshalJSON(body []byte) error {
	var in timingJSON
	if err := strictJSON(body, &in); err != nil {
		return err
	}
	out := Timing{Verb: in.Verb, Objects: in.Objects}
	for _, d := range []struct {
		text string
		into *time.Duration
	}{{in.Median, &out.Median}, {in.P99, &out.P99}} {
		var err error
		if *d.into, err = time.ParseDuration(d.text); err != nil {
			return fmt.Errorf("timing of %s: %w", in.Verb, err)
		}
	}
	*t = out
	return nil
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
func timingOf(all []Timing, v hnslb.Verb, held int) Timing {
	var best Timing
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
