// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"k8s.io/utils/clock"
)

// Config configures a Health.
type Config struct {
	// SyncPeriod is the maximum time between syncs. A family is unhealthy if work has been pending
	// for twice as long.
	SyncPeriod time.Duration
	// Clock may be nil for the real one.
	Clock clock.PassiveClock
	// OnHealthz and OnLivez receive the status code of each response; may be nil.
	OnHealthz, OnLivez func(code int)
}

// Health tracks whether the proxy is up to date. Its methods may be called from several goroutines.
type Health struct {
	cfg Config

	mu sync.Mutex
	// behind holds the families with pending work.
	behind map[hnslb.Family]lag
	// updated is when a family was last up to date.
	updated  map[hnslb.Family]time.Time
	eligible bool
}

// lag is since when work has been pending, and why.
type lag struct {
	since time.Time
	why   string
}

// New returns a Health that is healthy. The node counts as not eligible until SetNodeEligible is
// called.
func New(cfg Config) *Health {
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	return &Health{
		cfg:     cfg,
		behind:  map[hnslb.Family]lag{},
		updated: map[hnslb.Family]time.Time{},
	}
}

// Behind reports that work of a family has been pending since a given time, and why. The family
// becomes unhealthy if that lasts too long without a call of Updated.
func (h *Health) Behind(f hnslb.Family, since time.Time, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.behind[f] = lag{since, why}
}

// Updated reports that no work of a family is pending.
func (h *Health) Updated(f hnslb.Family) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.behind, f)
	h.updated[f] = h.cfg.Clock.Now()
}

// SetNodeEligible sets whether load balancers may send traffic to this node: its Node object
// exists, is not being deleted, and the cluster autoscaler is not about to remove it.
func (h *Health) SetNodeEligible(eligible bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.eligible = eligible
}

// Healthy returns whether all families are healthy. A proxy that is starting is healthy. Health
// check node ports use it too.
func (h *Health) Healthy() bool { return h.status().Healthy }

// status returns the current status for both probes.
func (h *Health) status() status {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.cfg.Clock.Now()
	out := status{CurrentTime: now, Healthy: true, Families: map[string]familyStatus{}}
	for _, f := range []hnslb.Family{hnslb.IPv4, hnslb.IPv6} {
		updated, known := h.updated[f]
		behind, waits := h.behind[f]
		if !known && !waits {
			continue
		}
		family := familyStatus{LastUpdated: updated, Healthy: !waits || now.Sub(behind.since) < 2*h.cfg.SyncPeriod}
		if !family.Healthy {
			family.BehindSince, family.Reason = &behind.since, behind.why
		}
		out.Families[f.String()] = family
		out.Healthy = out.Healthy && family.Healthy
		if updated.After(out.LastUpdated) {
			out.LastUpdated = updated
		}
	}
	return out
}

func (h *Health) nodeEligible() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.eligible
}
