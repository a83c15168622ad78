// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"k8s.io/utils/clock"
)

// Config is what a Health is made of.
type Config struct {
	// SyncPeriod is how often the proxy syncs at least. Work that has waited twice as
	// long makes its family unhealthy.
	SyncPeriod time.Duration
	// Clock may be nil for the real one.
	Clock clock.PassiveClock
	// OnHealthz and OnLivez hear the status code of each answer; nil for nobody.
	OnHealthz, OnLivez func(code int)
}

// Health knows whether the proxy gets its work done. Its methods may be called from several
// goroutines.
type Health struct {
	cfg Config

	mu sync.Mutex
	// behind are the families whose work waits.
	behind map[hnslb.Family]lag
	// updated is when the work of a family was last done.
	updated  map[hnslb.Family]time.Time
	eligible bool
}

// lag is since when work waits, and for what.
type lag struct {
	since time.Time
	why   string
}

// New returns a Health that is starting up: healthy, on a node that is not eligible before
// SetNodeEligible says so.
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

// Behind says that work of a family waits since some time, and for what. Until Updated, the
// family is late when that was long ago.
func (h *Health) Behind(f hnslb.Family, since time.Time, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.behind[f] = lag{since, why}
}

// Updated says that all work of a family was tried.
func (h *Health) Updated(f hnslb.Family) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.behind, f)
	h.updated[f] = h.cfg.Clock.Now()
}

// SetNodeEligible says whether load balancers may send to this node: its Node object
// exists, is not being deleted, and the cluster autoscaler is not about to remove it.
func (h *Health) SetNodeEligible(eligible bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.eligible = eligible
}

// Healthy tells whether no family is late. A proxy that is starting up is healthy. The
// health-check node ports of Services ask this too.
func (h *Health) Healthy() bool { return h.status().Healthy }

// status returns what both probes share, as of now.
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
