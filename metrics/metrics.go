// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strconv"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the numbers of one proxy. Its methods may be called from several goroutines;
// none blocks and none fails.
type Metrics struct {
	syncDuration     *prometheus.HistogramVec
	lastQueued       *prometheus.GaugeVec
	lastSync         *prometheus.GaugeVec
	serviceChanges   prometheus.Counter
	servicesPending  prometheus.Gauge
	endpointChanges  prometheus.Counter
	endpointsPending prometheus.Gauge
	programming      *prometheus.HistogramVec
	noLocal          *prometheus.GaugeVec
	healthz, livez   *prometheus.CounterVec
	lbFailures       map[hnslb.Verb]*prometheus.CounterVec
	hnsCalls         *prometheus.CounterVec
	hnsCallDuration  *prometheus.HistogramVec
	frontends        *prometheus.GaugeVec
	limited          *prometheus.GaugeVec
	events           *prometheus.CounterVec
	eventsDelayed    prometheus.Gauge
	drift            *prometheus.CounterVec
	remoteEndpoints  prometheus.Gauge
	pending          prometheus.Gauge
	kubernetesBuild  *prometheus.GaugeVec
	ownBuild         *prometheus.GaugeVec

	limitsMu sync.Mutex
	// limits are those that have a series.
	limits map[Limit]bool
}

// LBType says what a load balancer stands for, in the words of the lb_type label
// (Kubernetes issue 137766).
type LBType string

// The kinds of frontend that upstream's failure counters tell apart.
const (
	ClusterIP   LBType = "clusterip"
	NodePort    LBType = "nodeport"
	ExternalIP  LBType = "externalip"
	IngressIP   LBType = "ingressip"
	HealthCheck LBType = "healthcheck"
)

// Object is a kind of HNS object that was found different from what was remembered.
type Object string

// Objects that can drift.
const (
	Frontend Object = "frontend"
	Endpoint Object = "endpoint"
)

// FrontendCounts says how many frontends are in which state. A frontend is in exactly one.
type FrontendCounts struct {
	// Programmed: HNS holds what is wanted, as far as known.
	Programmed int
	// Pending: a change waits for its turn.
	Pending int
	// Blocked: something else has to happen first, e.g. a pod's HNS endpoint appear.
	Blocked int
	// Failing: HNS refused, and the next try waits for its backoff.
	Failing int
}

// ServiceChange counts a Service that was added, changed or removed; it is pending until
// ChangesTaken.
func (m *Metrics) ServiceChange() {
	m.serviceChanges.Inc()
	m.servicesPending.Inc()
}

// EndpointChange counts an EndpointSlice that was added, changed or removed; it is pending
// until ChangesTaken.
func (m *Metrics) EndpointChange() {
	m.endpointChanges.Inc()
	m.endpointsPending.Inc()
}

// ChangesTaken says that a sync has taken all changes counted so far. Call it under the
// lock that also guards the changes, else one that arrives meanwhile is not shown as
// pending until the next.
func (m *Metrics) ChangesTaken() {
	m.servicesPending.Set(0)
	m.endpointsPending.Set(0)
}

// SyncQueued says that a sync of the family was asked for at that time.
func (m *Metrics) SyncQueued(f hnslb.Family, at time.Time) {
	m.lastQueued.WithLabelValues(f.String()).Set(unix(at))
}

// SyncDone says that a sync of the family ran from start to end and did all it could.
func (m *Metrics) SyncDone(f hnslb.Family, start, end time.Time) {
	m.SyncFailed(f, start, end)
	m.lastSync.WithLabelValues(f.String()).Set(unix(end))
}

// SyncFailed says that a sync of the family ran from start to end and broke off, e.g.
// since HNS was away. Its length counts, its end is no success.
func (m *Metrics) SyncFailed(f hnslb.Family, start, end time.Time) {
	m.syncDuration.WithLabelValues(f.String()).Observe(end.Sub(start).Seconds())
}

// NetworkProgrammed says how long after the change in the cluster its effect was in force:
// from the endpoints.kubernetes.io/last-change-trigger-time of an EndpointSlice to the end
// of the sync. Leave out trigger times from before this process started, and slices that
// were deleted: they are not this proxy's latency (Kubernetes issues 100861 and 95363).
func (m *Metrics) NetworkProgrammed(f hnslb.Family, d time.Duration) {
	m.programming.WithLabelValues(f.String()).Observe(d.Seconds())
}

// NoLocalEndpoints says how many Services of the family have traffic policy Local and no
// usable endpoint on this node, for the internal and for the external policy.
func (m *Metrics) NoLocalEndpoints(f hnslb.Family, internal, external int) {
	m.noLocal.WithLabelValues("internal", f.String()).Set(float64(internal))
	m.noLocal.WithLabelValues("external", f.String()).Set(float64(external))
}

// HealthzServed counts an answer of /healthz with that HTTP status code.
func (m *Metrics) HealthzServed(code int) { m.healthz.WithLabelValues(strconv.Itoa(code)).Inc() }

// LivezServed counts an answer of /livez with that HTTP status code.
func (m *Metrics) LivezServed(code int) { m.livez.WithLabelValues(strconv.Itoa(code)).Inc() }

// LoadBalancerFailed counts a create, update or delete of a load balancer that err ended.
// Other verbs have no counter here; Instrument counts the failed calls of all verbs.
func (m *Metrics) LoadBalancerFailed(v hnslb.Verb, f hnslb.Family, kind LBType, err error) {
	if c, ok := m.lbFailures[v]; ok {
		c.WithLabelValues(f.String(), string(kind), upstreamError(err)).Inc()
	}
}

// DriftFound counts n objects that HNS held differently from what was remembered, so that
// somebody else must have changed them.
func (m *Metrics) DriftFound(o Object, n int) {
	m.drift.WithLabelValues(string(o)).Add(float64(n))
}

// Frontends says how many frontends are in which state now.
func (m *Metrics) Frontends(c FrontendCounts) {
	m.frontends.WithLabelValues("programmed").Set(float64(c.Programmed))
	m.frontends.WithLabelValues("pending").Set(float64(c.Pending))
	m.frontends.WithLabelValues("blocked").Set(float64(c.Blocked))
	m.frontends.WithLabelValues("failing").Set(float64(c.Failing))
}

// Limit is something that keeps frontends from being in force as their Services ask.
type Limit struct {
	State  LimitState
	Reason string
}

// LimitState says how much of a frontend a Limit takes.
type LimitState string

// The states of limited frontends.
const (
	// LimitBlocked: it is not served until something else changes.
	LimitBlocked LimitState = "blocked"
	// LimitFailing: HNS refuses it, or some of its endpoints.
	LimitFailing LimitState = "failing"
	// LimitDegraded: what is served of it is not all, or not what was asked for.
	LimitDegraded LimitState = "degraded"
)

// FrontendsLimited says how many frontends each Limit concerns now. One that concerned some
// before and is not in counts concerns none. A frontend may have several.
func (m *Metrics) FrontendsLimited(counts map[Limit]int) {
	m.limitsMu.Lock()
	defer m.limitsMu.Unlock()
	for l := range m.limits {
		if counts[l] == 0 {
			m.limited.WithLabelValues(string(l.State), l.Reason).Set(0)
		}
	}
	for l, n := range counts {
		m.limits[l] = true
		m.limited.WithLabelValues(string(l.State), l.Reason).Set(float64(n))
	}
}

// EventSent counts an Event that the API server was asked to store, and how that ended.
func (m *Metrics) EventSent(err error) {
	result := resultOK
	if err != nil {
		result = "error"
	}
	m.events.WithLabelValues(result).Inc()
}

// EventsDelayed says how many Events wait for the rate limit now.
func (m *Metrics) EventsDelayed(n int) { m.eventsDelayed.Set(float64(n)) }

// RemoteEndpoints says how many remote endpoints of ours HNS holds now.
func (m *Metrics) RemoteEndpoints(n int) { m.remoteEndpoints.Set(float64(n)) }

// Pending says how many Services wait to be computed and programmed now.
func (m *Metrics) Pending(n int) { m.pending.Set(float64(n)) }

// HNSCall counts one driver call, how long it took, and how it ended.
func (m *Metrics) HNSCall(v hnslb.Verb, took time.Duration, err error) {
	m.hnsCalls.WithLabelValues(string(v), result(err)).Inc()
	m.hnsCallDuration.WithLabelValues(string(v)).Observe(took.Seconds())
}

func unix(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
