// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"net"
	"net/http"
	"net/http/pprof"

	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier/health"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// servers are the ports of kube-proxy.
func (p *program) servers() []health.Server {
	o := &p.opts
	serve := func(name, addr, reason string, h http.Handler) health.Server {
		failing := false // of which there is an Event
		return health.Server{Name: name, Addr: addr, Handler: h, HardFail: o.BindAddressHardFail,
			Listening: func(a net.Addr) {
				failing = false
				p.logger.Info("Serving", "what", name, "address", a.String())
				if p.deps.OnListen != nil {
					p.deps.OnListen(name, a)
				}
			},
			Failed: func(err error) {
				if !failing {
					p.tellNode(corev1.EventTypeWarning, reason, actionStart, err.Error())
				}
				failing = true
			},
		}
	}
	pages := metricsMux(p.registry, scrape{p.proxier, p.metrics}, o.Profiling)
	return []health.Server{
		serve("healthz", o.HealthzBindAddress, reasonHealthzFailed, health.Mux(p.health)),
		serve("metrics", o.MetricsBindAddress, reasonMetricsFailed, pages),
	}
}

// metricsMux serves what stands on --metrics-bind-address.
func metricsMux(reg prometheus.Gatherer, s scrape, profiling bool) http.Handler {
	mux := health.MetricsMux(s.before(metrics.Handler(reg, klog.NewStandardLogger("ERROR"))))
	if profiling {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}
