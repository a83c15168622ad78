// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// reservationTime is how long the cluster IPs of cluster DNS and of the API server stay out of
// the reach of external and ingress IPs after their Service was deleted: long enough for a
// Service that an upgrade deletes and makes anew.
const reservationTime = time.Minute

// reservation keeps the frontends of one deleted Service.
type reservation struct {
	frontends []*desired.Frontend
	until     time.Time
}

// reserve begins the reservation of a critical Service that was deleted, and ends that of one
// that is back. before are the frontends that the Service had.
func (e *Engine) reserve(in services.Input, before []*desired.Frontend) {
	if in.Service != nil {
		delete(e.reserved, in.Name)
		return
	}
	if frontends := desired.Reserve(before); len(frontends) > 0 {
		e.reserved[in.Name] = reservation{frontends, e.now.Add(reservationTime)}
	}
}

// releaseReserved ends the reservations whose time is over.
func (e *Engine) releaseReserved() {
	for name, r := range e.reserved {
		if !e.now.Before(r.until) {
			delete(e.reserved, name)
			e.setService(e.input(), services.Input{Name: name})
		}
	}
}

// nextRelease returns when the next reservation ends, the zero time for never.
func (e *Engine) nextRelease() time.Time {
	var next time.Time
	for _, r := range e.reserved {
		if next.IsZero() || r.until.Before(next) {
			next = r.until
		}
	}
	return next
}
