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

// Metrics are the metrics of one proxy. Its methods may be called from several goroutines; none of
// them blocks or fails.
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
	// limits holds the limits that have a series.
	limits map[Limit]bool
}

// LBType is the type of a frontend in the lb_type label (Kubernetes issue 137766).
type LBType string

// The frontend types that kube-proxy's failure counters distinguish.
const (
	ClusterIP   LBType = "clusterip"
	NodePort    LBType = "nodeport"
	ExternalIP  LBType = "externalip"
	IngressIP   LBType = "ingressip"
	HealthCheck LBType = "healthcheck"
)

// Object is a type of HNS object in the drift metric.
type Object string

// Objects that can drift.
const (
	Frontend Object = "frontend"
	Endpoint Object = "endpoint"
)

// FrontendCounts is the number of frontends in each state. Each frontend is in exactly one.
type FrontendCounts struct {
	// Programmed: HNS has the frontend as desired, as far as known.
	Programmed int
	// Pending: a change is queued.
	Pending int
	// Blocked: something else has to happen first, such as the creation of a pod's HNS endpoint.
	Blocked int
	// Failing: HNS refused the frontend, and the retry is backing off.
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

// ChangesTaken records that a sync has taken all changes counted so far. It must be called under
// the lock that guards the changes; otherwise a concurrent change is not shown as pending until the
// next one.
func (m *Metrics) ChangesTaken() {
	m.servicesPending.Set(0)
	m.endpointsPending.Set(0)
}

// SyncQueued records that a sync of the family was requested at a given time.
func (m *Metrics) SyncQueued(f hnslb.Family, at time.Time) {
	m.lastQueued.WithLabelValues(f.String()).Set(unix(at))
}

// SyncDone records a sync of the family that did everything possible.
func (m *Metrics) SyncDone(f hnslb.Family, start, end time.Time) {
	m.SyncFailed(f, start, end)
	m.lastSync.WithLabelValues(f.String()).Set(unix(end))
}

// SyncFailed records a sync of the family that was aborted, for example because HNS became
// unavailable. It counts in the duration, but not as a last successful sync.
func (m *Metrics) SyncFailed(f hnslb.Family, start, end time.Time) {
	m.syncDuration.WithLabelValues(f.String()).Observe(end.Sub(start).Seconds())
}

// NetworkProgrammed records the latency of an endpoint change, from the
// endpoints.kubernetes.io/last-change-trigger-time of an EndpointSlice to the end of the sync.
// Callers must leave out triggers from before this process started, and those of deleted slices,
// since they do not measure this proxy (Kubernetes issues 100861 and 95363).
func (m *Metrics) NetworkProgrammed(f hnslb.Family, d time.Duration) {
	m.programming.WithLabelValues(f.String()).Observe(d.Seconds())
}

// NoLocalEndpoints sets the number of Services of the family with traffic policy Local and without
// usable endpoints on this node, for the internal and for the external policy.
func (m *Metrics) NoLocalEndpoints(f hnslb.Family, internal, external int) {
	m.noLocal.WithLabelValues("internal", f.String()).Set(float64(internal))
	m.noLocal.WithLabelValues("external", f.String()).Set(float64(external))
}

// HealthzServed counts a response of /healthz by HTTP status code.
func (m *Metrics) HealthzServed(code int) { m.healthz.WithLabelValues(strconv.Itoa(code)).Inc() }

// LivezServed counts a response of /livez by HTTP status code.
func (m *Metrics) LivezServed(code int) { m.livez.WithLabelValues(strconv.Itoa(code)).Inc() }

// LoadBalancerFailed counts a failed create, update or delete of a load balancer. Other verbs are
// ignored; Instrument counts the failed calls of all verbs.
func (m *Metrics) LoadBalancerFailed(v hnslb.Verb, f hnslb.Family, kind LBType, err error) {
	if c, ok := m.lbFailures[v]; ok {
		c.WithLabelValues(f.String(), string(kind), upstreamError(err)).Inc()
	}
}

// DriftFound counts n objects that HNS has in a different state than expected, so that another
// program must have changed them.
func (m *Metrics) DriftFound(o Object, n int) {
	m.drift.WithLabelValues(string(o)).Add(float64(n))
}

// Frontends sets the number of frontends in each state.
func (m *Metrics) Frontends(c FrontendCounts) {
	m.frontends.WithLabelValues("programmed").Set(float64(c.Programmed))
	m.frontends.WithLabelValues("pending").Set(float64(c.Pending))
	m.frontends.WithLabelValues("blocked").Set(float64(c.Blocked))
	m.frontends.WithLabelValues("failing").Set(float64(c.Failing))
}

// Limit is a reason why frontends do not work as their Services specify.
type Limit struct {
	State  LimitState
	Reason string
}

// LimitState is how a Limit affects a frontend.
type LimitState string

// The states of limited frontends.
const (
	// LimitBlocked: the frontend is not served until something else changes.
	LimitBlocked LimitState = "blocked"
	// LimitFailing: HNS refuses the frontend, or some of its endpoints.
	LimitFailing LimitState = "failing"
	// LimitDegraded: the frontend is served in part, or differently from what was requested.
	LimitDegraded LimitState = "degraded"
)

// FrontendsLimited sets the number of frontends that each Limit affects. Limits missing from counts
// are set to 0. A frontend may have several limits.
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

// EventSent counts an Event sent to the API server, by result.
func (m *Metrics) EventSent(err error) {
	result := resultOK
	if err != nil {
		result = "error"
	}
	m.events.WithLabelValues(result).Inc()
}

// EventsDelayed sets the number of Events that wait for the rate limit.
func (m *Metrics) EventsDelayed(n int) { m.eventsDelayed.Set(float64(n)) }

// RemoteEndpoints sets the number of remote endpoints in HNS that are ours.
func (m *Metrics) RemoteEndpoints(n int) { m.remoteEndpoints.Set(float64(n)) }

// Pending sets the number of objects that wait to be programmed.
func (m *Metrics) Pending(n int) { m.pending.Set(float64(n)) }

// HNSCall records a driver call, its duration and its result.
func (m *Metrics) HNSCall(v hnslb.Verb, took time.Duration, err error) {
	m.hnsCalls.WithLabelValues(string(v), result(err)).Inc()
	m.hnsCallDuration.WithLabelValues(string(v)).Observe(took.Seconds())
}

func unix(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
