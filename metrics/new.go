// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Prefixes of metric names: kube-proxy's, where the meaning is kube-proxy's, and ours.
const (
	upstream = "kubeproxy_"
	ours     = "hnsproxy_"
)

// alpha begins the help of kube-proxy's metrics: component-base has the stability of a metric
// stand there.
const alpha = "[ALPHA] "

// family is the label that names an IP family, "IPv4" or "IPv6".
const family = "ip_family"

// New makes the metrics and registers them with reg. It panics when reg has one of the
// names already, which is a mistake in the program.
//
// Types, labels, buckets and help of kube-proxy's metrics are upstream's; a test compares them
// with upstream's code. Series that are known beforehand are there from the start, so that
// rates have one, but for the times of syncs: a node of one family must not show a last sync
// of the other at time 0.
func New(reg prometheus.Registerer, options ...Option) *Metrics {
	f := factory{Factory: promauto.With(reg)}
	for _, o := range options {
		o(&f)
	}
	m := &Metrics{
		healthz:    f.counters(upstream+"proxy_healthz_total", alpha+"Cumulative proxy healthz HTTP status", "code"),
		livez:      f.counters(upstream+"proxy_livez_total", alpha+"Cumulative proxy livez HTTP status", "code"),
		lbFailures: f.failures(),
		frontends: f.gauges(ours+"frontends",
			"Frontends by state: programmed, pending, blocked or failing.", "state"),
		limited: f.gauges(ours+"frontends_limited",
			"Frontends not fully programmed, by state and reason.", "state", "reason"),
		limits:        map[Limit]bool{},
		events:        f.counters(ours+"events_total", "Events sent to the API server, by result: ok or error.", "result"),
		eventsDelayed: f.gauge(ours+"events_delayed", "Events delayed by the rate limit."),
		drift: f.counters(ours+"drift_total",
			"HNS objects found to differ from the recorded state, by kind of object.", "object"),
		remoteEndpoints: f.gauge(ours+"remote_endpoints", "Remote endpoints in HNS that are managed by this proxy."),
		pending:         f.gauge(ours+"pending", "Services waiting to be computed and programmed."),
	}
	m.addSync(f)
	m.addChanges(f)
	m.addCalls(f)
	m.addBuild(f)
	m.zero()
	return m
}

// Option changes how metrics are made.
type Option func(*factory)

// NativeHistograms exposes histograms as native ones, too, to scrapers that ask for them, as
// the feature gate of that name makes kube-proxy do.
func NativeHistograms(on bool) Option { return func(f *factory) { f.native = on } }

func (m *Metrics) addSync(f factory) {
	const sync = upstream + "sync_proxy_rules_"
	m.syncDuration = f.histograms(sync+"duration_seconds", alpha+"SyncProxyRules latency in seconds",
		syncBuckets(), family)
	m.lastQueued = f.gauges(sync+"last_queued_timestamp_seconds",
		alpha+"The last time a sync of proxy rules was queued", family)
	m.lastSync = f.gauges(sync+"last_timestamp_seconds",
		alpha+"The last time proxy rules were successfully synced", family)
	// kube-proxy registers this gauge on Windows and never sets it. So do we: with a series,
	// promtool takes exception to the name. The number is in noLocal.
	f.gauges(sync+"no_local_endpoints_total",
		alpha+"Number of services with a Local traffic policy and no endpoints",
		"traffic_policy", family)
	m.noLocal = f.gauges(ours+"no_local_endpoints",
		"Services with traffic policy Local and no usable endpoint on this node, by policy and IP family.",
		"traffic_policy", family)
	m.programming = f.histograms(upstream+"network_programming_duration_seconds",
		alpha+"In Cluster Network Programming Latency in seconds",
		programmingBuckets(), family)
}

func (m *Metrics) addChanges(f factory) {
	const sync = upstream + "sync_proxy_rules_"
	m.serviceChanges = f.counter(sync+"service_changes_total", alpha+"Cumulative proxy rules Service changes")
	m.servicesPending = f.gauge(sync+"service_changes_pending", alpha+"Pending proxy rules Service changes")
	m.endpointChanges = f.counter(sync+"endpoint_changes_total", alpha+"Cumulative proxy rules Endpoint changes")
	m.endpointsPending = f.gauge(sync+"endpoint_changes_pending",
		alpha+"Pending proxy rules Endpoint changes")
}

func (m *Metrics) addCalls(f factory) {
	m.hnsCalls = f.counters(ours+"hns_calls_total",
		"Calls to HNS by verb, and by result: ok or the class of the error.", "verb", "result")
	m.hnsCallDuration = f.histograms(ours+"hns_call_duration_seconds",
		"Duration of calls to HNS in seconds, by verb.", callBuckets(), "verb")
}

func (m *Metrics) addBuild(f factory) {
	m.kubernetesBuild = f.gauges("kubernetes_build_info", "[BETA] A metric with a constant '1' value labeled by major, minor, git version, "+
		"git commit, git tree state, build date, Go version, and compiler from which Kubernetes was built, and platform on which it is running.",
		"major", "minor", "git_version", "git_commit", "git_tree_state", "build_date", "go_version", "compiler", "platform")
	m.ownBuild = f.gauges(ours+"build_info", "A metric with constant value 1, labeled by the versions and the platform hnsproxy was built for.", "version", "revision", "go_version", "platform")
}

// zero shows the series that are known beforehand.
func (m *Metrics) zero() {
	for _, f := range []hnslb.Family{hnslb.IPv4, hnslb.IPv6} {
		m.syncDuration.WithLabelValues(f.String())
		m.programming.WithLabelValues(f.String())
		m.NoLocalEndpoints(f, 0, 0)
		for _, failures := range m.lbFailures {
			for _, kind := range []LBType{ClusterIP, NodePort, ExternalIP, IngressIP, HealthCheck} {
				for _, err := range upstreamErrors() {
					failures.WithLabelValues(f.String(), string(kind), err)
				}
			}
		}
	}
	for _, code := range []string{"200", "503"} {
		m.healthz.WithLabelValues(code)
		m.livez.WithLabelValues(code)
	}
	for _, v := range hnslb.Verbs() {
		m.hnsCalls.WithLabelValues(string(v), resultOK)
	}
	m.DriftFound(Frontend, 0)
	m.DriftFound(Endpoint, 0)
	m.Frontends(FrontendCounts{})
	for _, result := range []string{resultOK, "error"} {
		m.events.WithLabelValues(result)
	}
}

// syncBuckets are upstream's: 1 ms doubled up to 16.384 s.
func syncBuckets() []float64 { return prometheus.ExponentialBuckets(0.001, 2, 15) }

// programmingBuckets are upstream's, which scale tests query: the bucket at 0 is there by
// accident and part of the contract all the same. Steps in seconds: 0.25 to 0.5, 1 to 60,
// 5 to 115, 30 to 300.
func programmingBuckets() []float64 {
	return slices.Concat(
		[]float64{0},
		prometheus.LinearBuckets(0.25, 0.25, 2),
		prometheus.LinearBuckets(1, 1, 59),
		prometheus.LinearBuckets(60, 5, 12),
		prometheus.LinearBuckets(120, 30, 7),
	)
}

// callBuckets go from 0.5 ms to 65.536 s: a call takes some milliseconds on an idle HNS,
// and a hanging HNS is given up after about a minute.
func callBuckets() []float64 { return prometheus.ExponentialBuckets(0.0005, 2, 18) }

// factory makes registered metrics with the fewest words.
type factory struct {
	promauto.Factory
	native bool
}

// How native histograms are bounded, as component-base does it.
const (
	nativeFactor  = 1.1
	nativeBuckets = 160
)

func (f factory) counter(name, help string) prometheus.Counter {
	return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func (f factory) counters(name, help string, labels ...string) *prometheus.CounterVec {
	return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	return f.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func (f factory) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return f.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

func (f factory) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	o := prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}
	if f.native {
		o.NativeHistogramBucketFactor, o.NativeHistogramMaxBucketNumber = nativeFactor, nativeBuckets
	}
	return f.NewHistogramVec(o, labels)
}

// failures makes the three counters that Kubernetes issue 137766 named.
func (f factory) failures() map[hnslb.Verb]*prometheus.CounterVec {
	const lb = upstream + "sync_proxy_rules_winkernel_lb_"
	one := func(verb string) *prometheus.CounterVec {
		return f.counters(lb+verb+"_failures_total", alpha+"Cumulative proxy winkernel lb "+verb+" failures",
			family, "lb_type", "error")
	}
	return map[hnslb.Verb]*prometheus.CounterVec{
		hnslb.VerbCreateLoadBalancer: one("create"),
		hnslb.VerbUpdateLoadBalancer: one("update"),
		hnslb.VerbDeleteLoadBalancer: one("delete"),
	}
}
