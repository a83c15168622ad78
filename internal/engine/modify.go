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
	supported bool
	// off until then; wait is for how long it was turned off last.
	disabledUntil time.Time
	pause         time.Duration
	// incomplete are frontends for which HNS changed the endpoints and not the internal port or
	// the source VIP. They are re-created; that says nothing of changes of endpoints alone.
	incomplete map[hnslb.FrontendKey]bool
	reported   bool
}

const minModifyPause, maxModifyPause = time.Minute, time.Hour

func (m *modify) enabled(now time.Time) bool { return m.supported && !now.Before(m.disabledUntil) }

// disable turns it off and returns until when.
func (m *modify) disable(now time.Time) time.Time {
	m.pause = min(max(2*m.pause, minModifyPause), maxModifyPause)
	m.disabledUntil = now.Add(m.pause)
	return m.disabledUntil
}

func (m *modify) succeeded() { m.pause = 0 }

func (m *modify) isIncomplete(key hnslb.FrontendKey) bool { return m.incomplete[key] }

// markIncomplete notes that a change in place was made in part, and tells whether that is news.
func (m *modify) markIncomplete(key hnslb.FrontendKey) (first bool) {
	if m.incomplete == nil {
		m.incomplete = map[hnslb.FrontendKey]bool{}
	}
	m.incomplete[key] = true
	first, m.reported = !m.reported, true
	return first
}

// clearIncomplete says that a frontend is as it should be, or gone.
func (m *modify) clearIncomplete(key hnslb.FrontendKey) { delete(m.incomplete, key) }
