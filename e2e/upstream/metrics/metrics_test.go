// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
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
	unset(t, registry).WithLabelValues("internal", "IPv4").Set(1)
	return shapes(t, registry)
}

// unset is the gauge that both proxies register and neither sets on Windows. A registry hands
// out a collector that it has to whoever brings the same once more.
func unset(t *testing.T, registry *prometheus.Registry) *prometheus.GaugeVec {
	t.Helper()
	their := upstream.SyncProxyRulesNoLocalEndpointsTotal
	err := registry.Register(prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: prometheus.BuildFQName(their.Namespace, their.Subsystem, their.Name), Help: their.Help,
	}, []string{"traffic_policy", "ip_family"}))
	registered, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
	if !ok {
		t.Fatalf("%s is not registered: %v", their.Name, err)
	}
	gauge, ok := registered.ExistingCollector.(*prometheus.GaugeVec)
	if !ok {
		t.Fatalf("%s is a %T", their.Name, registered.ExistingCollector)
	}
	return gauge
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
