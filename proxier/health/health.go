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
	// queued is when the oldest work of a family that still waits was queued.
	queued map[hnslb.Family]time.Time
	// updated is when the work of a family was last done. A family that is not in here
	// is starting up.
	updated  map[hnslb.Family]time.Time
	eligible bool
}

// New returns a Health that is starting up: healthy, on a node that is not eligible before
// SetNodeEligible says so.
func New(cfg Config) *Health {
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	return &Health{
		cfg:     cfg,
		queued:  map[hnslb.Family]time.Time{},
		updated: map[hnslb.Family]time.Time{},
	}
}

// QueuedUpdate says that work of a family waits. Its clock starts with the first such word
// since the last Updated.
func (h *Health) QueuedUpdate(f hnslb.Family) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, waits := h.queued[f]; !waits {
		h.queued[f] = h.cfg.Clock.Now()
	}
}

// Updated says that all work of a family that was queued so far was tried. Whoever calls
// it must have taken that work up before: work queued meanwhile is forgotten here.
func (h *Health) Updated(f hnslb.Family) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.queued, f)
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
	for f, updated := range h.updated {
		queued, waits := h.queued[f]
		healthy := !waits || now.Sub(queued) < 2*h.cfg.SyncPeriod
		out.Families[f.String()] = familyStatus{LastUpdated: updated, Healthy: healthy}
		out.Healthy = out.Healthy && healthy
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
