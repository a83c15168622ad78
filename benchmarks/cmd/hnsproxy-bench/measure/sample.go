// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
)

// sampleEachSecond adds to the series until stop is called, which adds what is left of the last second.
func (r *run) sampleEachSecond() (stop func()) {
	ticker := time.NewTicker(time.Second)
	over := make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() {
		for {
			select {
			case <-ticker.C:
				if err := r.sample(); err != nil {
					select {
					case r.events <- err:
					default: // there is one already
					}
				}
			case <-over:
				return
			}
		}
	})
	return func() {
		ticker.Stop()
		close(over)
		sampling.Wait()
		r.Tracker.Quiet()
		_ = r.sample() // sum asks for the usage once more and returns the error
	}
}

// sample adds an entry to the series.
func (r *run) sample() error {
	now := time.Now()
	took := now.Sub(r.sampled)
	r.sampled = now
	c := r.Tracker.Take()
	s := result.Second{
		At: now.Sub(r.begun).Seconds(), Offered: c.Offered, Applied: c.Applied, Backlog: c.Backlog,
		P50Millis: c.Latency.Millis(50), P99Millis: c.Latency.Millis(99), MaxMillis: c.Latency.Millis(100),
		HNSCalls: map[string]int{},
	}
	if c.Latency.Count() > 0 {
		s.Latency = c.Latency
	}
	hns := r.System.HNS()
	calls := hns.Counts()
	for v, n := range calls {
		if more := n - r.calls[v]; more > 0 {
			s.HNSCalls[string(v)] = more
		}
	}
	r.calls = calls
	writing := hns.WriteTime()
	if took > 0 {
		s.HNSBusy = min(1, float64(writing-r.writing)/float64(took))
	}
	r.writing = writing
	usage, err := r.System.Usage()
	s.HeapBytes = usage.HeapBytes
	r.peak = max(r.peak, usage.HeapBytes)
	r.result.Series = append(r.result.Series, s)
	if r.Progress != nil {
		r.Progress(s)
	}
	return err
}
