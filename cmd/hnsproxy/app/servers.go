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
	"k8s.io/klog/v2"
)

// servers are the ports of kube-proxy.
func (p *program) servers() []health.Server {
	o := &p.opts
	open := func(name string) func(net.Addr) {
		return func(a net.Addr) {
			p.logger.Info("Serving", "what", name, "address", a.String())
			if p.deps.OnListen != nil {
				p.deps.OnListen(name, a)
			}
		}
	}
	pages := metricsMux(p.registry, scrape{p.proxier, p.metrics}, o.Profiling)
	return []health.Server{
		{Name: "healthz", Addr: o.HealthzBindAddress, Handler: health.Mux(p.health), HardFail: o.BindAddressHardFail, Listening: open("healthz")},
		{Name: "metrics", Addr: o.MetricsBindAddress, Handler: pages, HardFail: o.BindAddressHardFail, Listening: open("metrics")},
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
