// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"time"

	"k8s.io/utils/clock"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/vfp"
)

// DarkTime sums up the intervals in which a frontend that had backends had none.
type DarkTime struct {
	Total, Longest time.Duration
	// Times counts the intervals, those of no length too: a load balancer that was deleted
	// and made again in the same instant was dark once, for 0 s.
	Times int
}

// darkLog records when frontends serve nobody. A frontend enters the record when it first
// has a load balancer with a live backend.
type darkLog struct {
	clock   clock.PassiveClock
	records map[hnslb.FrontendKey]*darkRecord
}

type darkRecord struct {
	DarkTime
	// since is when the frontend went dark, nil while it serves.
	since *time.Time
}

func newDarkLog(c clock.PassiveClock) darkLog {
	return darkLog{clock: c, records: map[hnslb.FrontendKey]*darkRecord{}}
}

// note says whether a frontend serves somebody from now on.
func (l darkLog) note(k hnslb.FrontendKey, live bool) {
	r := l.records[k]
	switch {
	case r == nil && live:
		l.records[k] = &darkRecord{}
	case r == nil || live == (r.since == nil):
		// Never served, or no change.
	case !live:
		now := l.clock.Now()
		r.since = &now
	default:
		d := l.clock.Since(*r.since)
		r.since = nil
		r.Times++
		r.Total += d
		r.Longest = max(r.Longest, d)
	}
}

// Dark returns the record of every frontend that ever served somebody. It counts closed
// intervals only: a frontend that is dark now shows in StillDark.
//
// A frontend is dark while it has no load balancer, or one without rules, or one whose
// endpoints are all gone; whether a packet gets through what is there is Trace's to say.
// While HNS itself is stopped VFP goes on carrying traffic, so that is not dark.
func (e *Emulator) Dark() map[hnslb.FrontendKey]DarkTime {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make(map[hnslb.FrontendKey]DarkTime, len(e.store.dark.records))
	for k, r := range e.store.dark.records {
		out[k] = r.DarkTime
	}
	return out
}

// StillDark returns for how long each frontend that served once has been dark by now.
func (e *Emulator) StillDark() map[hnslb.FrontendKey]time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[hnslb.FrontendKey]time.Duration{}
	for k, r := range e.store.dark.records {
		if r.since != nil {
			out[k] = e.store.dark.clock.Since(*r.since)
		}
	}
	return out
}

// WorstDark returns the frontend with the longest closed dark interval, ties going to the
// one that was dark more often and then to the lower key. It is false when no frontend
// was ever dark.
func (e *Emulator) WorstDark() (hnslb.FrontendKey, DarkTime, bool) {
	var key hnslb.FrontendKey
	var worst DarkTime
	for k, d := range e.Dark() {
		if d.Times == 0 {
			continue
		}
		better := d.Longest > worst.Longest ||
			d.Longest == worst.Longest && (d.Times > worst.Times ||
				d.Times == worst.Times && k.Compare(key) < 0)
		if worst.Times == 0 || better {
			key, worst = k, d
		}
	}
	return key, worst, worst.Times > 0
}

// ForgetDark drops the record of a frontend, for one that was taken away on purpose.
func (e *Emulator) ForgetDark(k hnslb.FrontendKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.store.dark.records, k)
}

// ResetDark starts all records anew, as if the frontends that serve now began to.
func (e *Emulator) ResetDark() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.store.dark.records)
	for _, b := range e.store.balancerOrder.items {
		for k := range vfp.Frontends(b.LoadBalancer) {
			e.store.dark.note(k, b.serves())
		}
	}
}
