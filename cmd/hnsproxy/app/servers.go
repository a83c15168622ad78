// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/pages"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier/health"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/featuregate"
	componentmetrics "k8s.io/component-base/metrics"
	metricsfeatures "k8s.io/component-base/metrics/features"
	zpagesfeatures "k8s.io/component-base/zpages/features"
	"k8s.io/klog/v2"
)

// addMetrics creates the metrics for the feature gates.
func (p *program) addMetrics(gates featuregate.FeatureGate) {
	p.gates = gates
	p.metrics = metrics.New(p.registry, metrics.NativeHistograms(gates.Enabled(metricsfeatures.NativeHistograms)))
	p.metrics.Build(build())
}

// servers returns the servers of kube-proxy's ports.
func (p *program) servers() ([]health.Server, error) {
	o := &p.opts
	served, err := p.authorize(pages.New(p.pages()))
	if err != nil {
		return nil, err
	}
	secure, err := p.metricsTLS()
	if err != nil {
		return nil, err
	}
	shown := p.server("metrics", o.MetricsBindAddress, reasonMetricsFailed, served)
	shown.TLS = secure
	return []health.Server{p.server("healthz", o.HealthzBindAddress, reasonHealthzFailed, health.Mux(p.health)), shown}, nil
}

// server returns the server of one port.
func (p *program) server(name, addr, reason string, h http.Handler) health.Server {
	failing := false // an Event was sent
	return health.Server{Name: name, Addr: addr, Handler: h, HardFail: p.opts.BindAddressHardFail,
		Listening: func(a net.Addr) {
			failing = false
			p.logger.Info("Serving", "what", name, "address", a.String())
			if p.deps.OnListen != nil {
				p.deps.OnListen(name, a)
			}
		},
		Failed: func(err error) {
			if !failing {
				p.sendNodeEvent(corev1.EventTypeWarning, reason, actionStart, err.Error())
			}
			failing = true
		},
	}
}

// pages configures the pages on --metrics-bind-address.
func (p *program) pages() pages.Config {
	var frontends http.Handler = &pages.Frontends{Rows: p.proxier.Table().Rows, Objects: p.proxier.Objects, Node: p.opts.Hostname, Now: p.deps.Clock.Now}
	if !p.opts.MetricsAuthorization {
		frontends = pages.LoopbackOnly(frontends)
	}
	shown := pages.Config{
		Metrics:       scraper{p.proxier, p.metrics}.wrap(metrics.Handler(p.registry, klog.NewStandardLogger("ERROR"))),
		Configuration: p.deps.Configuration,
		Status:        p.gates.Enabled(zpagesfeatures.ComponentStatusz),
		Started:       processStart(),
		Release:       kubernetesVersion(),
		Profiling:     p.opts.Profiling,
		Frontends:     frontends,
	}
	if p.gates.Enabled(zpagesfeatures.ComponentFlagz) {
		shown.Flags = p.deps.Flags
	}
	return shown
}

// processStart returns when this process started, in whole seconds.
func processStart() time.Time {
	seconds, err := componentmetrics.GetProcessStart()
	if err != nil {
		return time.Now().Truncate(time.Second) // a close approximation
	}
	return time.Unix(int64(seconds), 0)
}

// authorize makes the API server authorize requests for the pages, if configured.
func (p *program) authorize(h http.Handler) (http.Handler, error) {
	if !p.opts.MetricsAuthorization {
		return h, nil
	}
	config, err := restConfig(&p.opts)
	if err != nil {
		return nil, err
	}
	// Use a separate client, so that requests with invalid tokens do not slow down watches and
	// Events.
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create client for authorization: %w", err)
	}
	return pages.NewAccess(client, p.deps.Clock, p.logger).Guard(h), nil
}

// metricsTLS returns the TLS configuration of the pages, nil for none.
func (p *program) metricsTLS() (*tls.Config, error) {
	o := &p.opts
	if o.MetricsCert == "" || o.MetricsBindAddress == "" {
		return nil, nil
	}
	c, err := pages.LoadCertificate(o.MetricsCert, o.MetricsKey, p.deps.Clock, p.logger)
	if err != nil {
		return nil, err
	}
	return c.Config(), nil
}
