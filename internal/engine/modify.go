// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// modify tracks whether HNS can update load balancers in place. If an update is reported as
// successful without effect, updates are disabled and tried again at increasing intervals. A single
// wrong answer must not turn every later change into a delete and create, which interrupts the VIP.
type modify struct {
	supported bool
	// disabledUntil is when updates are tried again; pause is how long they were last disabled.
	disabledUntil time.Time
	pause         time.Duration
	// incomplete holds the frontends for which HNS updated the endpoints, but not the internal port
	// or the source VIP. They are re-created. This does not affect updates of the endpoints alone.
	incomplete map[hnslb.FrontendKey]bool
	reported   bool
}

const minModifyPause, maxModifyPause = time.Minute, time.Hour

func (m *modify) enabled(now time.Time) bool { return m.supported && !now.Before(m.disabledUntil) }

// disable disables updates in place and returns until when.
func (m *modify) disable(now time.Time) time.Time {
	m.pause = min(max(2*m.pause, minModifyPause), maxModifyPause)
	m.disabledUntil = now.Add(m.pause)
	return m.disabledUntil
}

func (m *modify) succeeded() { m.pause = 0 }

func (m *modify) isIncomplete(key hnslb.FrontendKey) bool { return m.incomplete[key] }

// markIncomplete records an incomplete update, and returns whether it is the first one.
func (m *modify) markIncomplete(key hnslb.FrontendKey) (first bool) {
	if m.incomplete == nil {
		m.incomplete = map[hnslb.FrontendKey]bool{}
	}
	m.incomplete[key] = true
	first, m.reported = !m.reported, true
	return first
}

// clearIncomplete records that a frontend is programmed completely, or gone.
func (m *modify) clearIncomplete(key hnslb.FrontendKey) { delete(m.incomplete, key) }
