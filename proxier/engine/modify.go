// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// modify follows whether HNS changes load balancers in place. An HNS that says that it can and
// does not is asked again, less and less often: one wrong answer must not cost a dark VIP for
// each change from then on.
type modify struct {
	able bool
	// off until then; wait is for how long it was turned off last.
	until time.Time
	wait  time.Duration
}

const firstOff, lastOff = time.Minute, time.Hour

func (m *modify) on(now time.Time) bool { return m.able && !now.Before(m.until) }

// failed turns it off and returns until when.
func (m *modify) failed(now time.Time) time.Time {
	m.wait = min(max(2*m.wait, firstOff), lastOff)
	m.until = now.Add(m.wait)
	return m.until
}

func (m *modify) worked() { m.wait = 0 }
