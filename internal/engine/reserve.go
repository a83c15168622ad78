// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// reservationTime is how long the cluster IPs of cluster DNS and of the API server cannot be
// claimed as external or ingress IPs after their Service was deleted. It covers an upgrade that
// deletes and re-creates the Service.
const reservationTime = time.Minute

// reservation holds the frontends of a deleted Service.
type reservation struct {
	frontends []*desired.Frontend
	until     time.Time
}

// reserve starts the reservation of a critical Service that was deleted, and ends it when the
// Service is re-created. before are the frontends that the Service had.
func (e *Engine) reserve(in services.Input, before []*desired.Frontend) {
	if in.Service != nil {
		delete(e.reserved, in.Name)
		return
	}
	if frontends := desired.Reserve(before); len(frontends) > 0 {
		e.reserved[in.Name] = reservation{frontends, e.now.Add(reservationTime)}
	}
}

// releaseReserved ends the reservations that have expired.
func (e *Engine) releaseReserved() {
	for name, r := range e.reserved {
		if !e.now.Before(r.until) {
			delete(e.reserved, name)
			e.setService(e.input(), services.Input{Name: name})
		}
	}
}

// nextRelease returns when the next reservation expires, the zero time for never.
func (e *Engine) nextRelease() time.Time {
	var next time.Time
	for _, r := range e.reserved {
		if next.IsZero() || r.until.Before(next) {
			next = r.until
		}
	}
	return next
}
