// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"log"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/component-base/metrics/legacyregistry"

	// What kube-proxy shows besides its own metrics. These packages register themselves
	// with component-base's registry when they are linked.
	_ "k8s.io/component-base/metrics/prometheus/feature"    // kubernetes_feature_enabled
	_ "k8s.io/component-base/metrics/prometheus/restclient" // rest_client_*
)

// Handler serves what own holds together with what the Kubernetes libraries count in
// component-base's registry: the client's requests, the feature gates, the Go runtime and the
// process. own must therefore hold no Go or process collector.
//
// A collector that fails is left out and logged: one bad number does not hide the others.
func Handler(own prometheus.Gatherer, errorLog *log.Logger) http.Handler {
	all := prometheus.Gatherers{legacyregistry.DefaultGatherer, own}
	opts := promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, ProcessStartTime: legacyregistry.GetProcessStart()}
	if errorLog != nil {
		opts.ErrorLog = errorLog
	}
	return promhttp.HandlerFor(all, opts)
}
