// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/component-base/metrics/legacyregistry"
	kubeproxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"
	upstream "k8s.io/kubernetes/pkg/proxy/metrics"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/metrics"
)

// theirs are the metrics that kube-proxy registers in its proxy mode of Windows, each with a
// series: a vector shows nothing of itself without.
func theirs(t *testing.T) map[string]string {
	t.Helper()
	upstream.RegisterMetrics(kubeproxyconfig.ProxyModeKernelspace)
	const family = "IPv4"
	upstream.SyncProxyRulesLatency.WithLabelValues(family).Observe(1)
	upstream.SyncProxyRulesLastQueuedTimestamp.WithLabelValues(family).SetToCurrentTime()
	upstream.SyncProxyRulesLastTimestamp.WithLabelValues(family).SetToCurrentTime()
	upstream.NetworkProgrammingLatency.WithLabelValues(family).Observe(1)
	upstream.SyncProxyRulesNoLocalEndpointsTotal.WithLabelValues("internal", family).Set(1)
	upstream.ProxyHealthzTotal.WithLabelValues("200").Inc()
	upstream.ProxyLivezTotal.WithLabelValues("200").Inc()
	upstream.WinKernelLBCreateFailure.WithLabelValues(family, "clusterip", "other").Inc()
	upstream.WinKernelLBUpdateFailure.WithLabelValues(family, "clusterip", "other").Inc()
	upstream.WinKernelLBDeleteFailure.WithLabelValues(family, "clusterip", "other").Inc()
	return shapes(t, legacyregistry.DefaultGatherer)
}

// ours are hnsproxy's metrics.
func ours(t *testing.T) map[string]string {
	t.Helper()
	registry := prometheus.NewRegistry()
	m := metrics.New(registry)
	m.SyncQueued(hnslb.IPv4, time.Now())
	m.SyncDone(hnslb.IPv4, time.Now(), time.Now())
	return shapes(t, registry)
}

// shapes are all of the metrics of kube-proxy's name but their values, by name.
func shapes(t *testing.T, g prometheus.Gatherer) map[string]string {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "kubeproxy_") {
			continue
		}
		text := fmt.Sprintf("%s\n%s\n%v", f.GetType(), f.GetHelp(), labels(f.GetMetric()[0]))
		for _, b := range f.GetMetric()[0].GetHistogram().GetBucket() {
			text += fmt.Sprintf("\n%v", b.GetUpperBound())
		}
		out[f.GetName()] = text
	}
	return out
}

func labels(m *dto.Metric) (names []string) {
	for _, l := range m.GetLabel() {
		names = append(names, l.GetName())
	}
	return names
}

// TestMetrics: each metric of kube-proxy is there and the same, its help and with it the
// stability included, and there is no other of kube-proxy's name. There are no differences.
func TestMetrics(t *testing.T) {
	theirs, ours := theirs(t), ours(t)
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Errorf("(-kube-proxy +hnsproxy)\n%s", diff)
	}
	t.Logf("%d metrics compared: %s", len(theirs), strings.Join(slices.Sorted(maps.Keys(theirs)), " "))
	if len(theirs) < 14 {
		t.Errorf("kube-proxy has %d metrics: they were not found", len(theirs))
	}
}
