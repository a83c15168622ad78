// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// modify follows whether HNS changes load balancers in place. An HNS that says that it can and
// does not is asked again, with increasing intervals: one wrong answer must not cost a dark VIP for
// each change from then on.
type modify struct {
	able bool
	// off until then; wait is for how long it was turned off last.
	until time.Time
	wait  time.Duration
	// short are frontends for which HNS changed the endpoints and not the internal port or
	// the source VIP. They are re-created; that says nothing of changes of endpoints alone.
	short map[hnslb.FrontendKey]bool
	told  bool
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

func (m *modify) fellShort(key hnslb.FrontendKey) bool { return m.short[key] }

// fallsShort notes that a change in place was made in part, and tells whether that is news.
func (m *modify) fallsShort(key hnslb.FrontendKey) (first bool) {
	if m.short == nil {
		m.short = map[hnslb.FrontendKey]bool{}
	}
	m.short[key] = true
	first, m.told = !m.told, true
	return first
}

// kept says that a frontend is as it should be, or gone.
func (m *modify) kept(key hnslb.FrontendKey) { delete(m.short, key) }
