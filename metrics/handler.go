// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"log"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/component-base/metrics/legacyregistry"

	// Metrics that kube-proxy exposes besides its own. These packages register themselves with
	// component-base's registry when they are linked.
	_ "k8s.io/component-base/metrics/prometheus/feature"    // kubernetes_feature_enabled
	_ "k8s.io/component-base/metrics/prometheus/restclient" // rest_client_*
)

// Handler serves the metrics of own together with those of the Kubernetes libraries in
// component-base's registry: client requests, feature gates, Go runtime and process. own must
// therefore not contain a Go or process collector.
//
// A collector that fails is left out and logged, so that one error does not hide the other metrics.
func Handler(own prometheus.Gatherer, errorLog *log.Logger) http.Handler {
	all := prometheus.Gatherers{legacyregistry.DefaultGatherer, own}
	opts := promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, ProcessStartTime: legacyregistry.GetProcessStart()}
	if errorLog != nil {
		opts.ErrorLog = errorLog
	}
	return promhttp.HandlerFor(all, opts)
}
