// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

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
func (p *Proxier) reserve(in services.Input, before []*desired.Frontend) {
	if in.Service != nil {
		delete(p.reserved, in.Name)
		return
	}
	if frontends := desired.Reserve(before); len(frontends) > 0 {
		p.reserved[in.Name] = reservation{frontends, p.cfg.Clock.Now().Add(reservationTime)}
	}
}

// releaseReserved ends the reservations whose time is over.
func (p *Proxier) releaseReserved() {
	now := p.cfg.Clock.Now()
	for name, r := range p.reserved {
		if !now.Before(r.until) {
			delete(p.reserved, name)
			p.computeService(p.input(), services.Input{Name: name})
		}
	}
}

// nextRelease returns when the next reservation ends, the zero time for never.
func (p *Proxier) nextRelease() time.Time {
	var next time.Time
	for _, r := range p.reserved {
		if next.IsZero() || r.until.Before(next) {
			next = r.until
		}
	}
	return next
}
