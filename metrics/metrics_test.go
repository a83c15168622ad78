// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

var update = flag.Bool("update", false, "rewrite testdata; read the difference before committing")

var start = time.Unix(1_700_000_000, 500_000_000)

// exercise calls every verb once, so that every series has a value.
func exercise(m *metrics.Metrics) {
	m.Build(metrics.Build{Version: "v1.2.3", Revision: "0123abcd", Kubernetes: "v1.37.2"})
	m.ServiceChange()
	m.EndpointChange()
	m.SyncQueued(hnslb.IPv4, start)
	m.SyncDone(hnslb.IPv4, start, start.Add(3*time.Millisecond))
	m.NetworkProgrammed(hnslb.IPv4, time.Second)
	m.NoLocalEndpoints(hnslb.IPv4, 1, 2)
	m.HealthzServed(200)
	m.LivezServed(503)
	for _, v := range hnslb.Verbs() {
		m.LoadBalancerFailed(v, hnslb.IPv6, metrics.NodePort, hnslb.NewError(v, "x", hnslb.ResultPortAlreadyExists, ""))
		m.HNSCall(v, time.Millisecond, nil)
	}
	m.DriftFound(metrics.Frontend, 2)
	m.Frontends(metrics.FrontendCounts{Programmed: 4, Pending: 3, Blocked: 2, Failing: 1})
	m.FrontendsLimited(map[metrics.Limit]int{{metrics.LimitBlocked, "NoEndpoints"}: 5, {metrics.LimitDegraded, "MixedTargetPorts"}: 6})
	m.EventSent(nil)
	m.EventSent(os.ErrDeadlineExceeded)
	m.EventsDelayed(9)
	m.RemoteEndpoints(7)
	m.Pending(8)
}

func gather(t *testing.T, g prometheus.Gatherer) []*dto.MetricFamily {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// shape prints name, type, labels and buckets of a metric, one line each.
func shape(f *dto.MetricFamily) string {
	out := f.GetName() + " " + typeName(f)
	if l := labelNames(f); l != "" {
		out += " {" + l + "}"
	}
	if h := f.GetMetric()[0].GetHistogram(); h != nil {
		var bounds []string
		for _, b := range h.GetBucket() {
			bounds = append(bounds, strconv.FormatFloat(b.GetUpperBound(), 'g', -1, 64))
		}
		out += "\n  buckets " + strings.Join(bounds, " ")
	}
	return out
}

func typeName(f *dto.MetricFamily) string { return strings.ToLower(f.GetType().String()) }

func labelNames(f *dto.MetricFamily) string {
	var names []string
	for _, l := range f.GetMetric()[0].GetLabel() {
		names = append(names, l.GetName())
	}
	return strings.Join(names, ", ")
}

// TestShape holds names, types, labels and buckets, which dashboards and alerts rely on.
func TestShape(t *testing.T) {
	reg := prometheus.NewRegistry()
	exercise(metrics.New(reg))
	var got strings.Builder
	for _, f := range gather(t, reg) {
		fmt.Fprintln(&got, shape(f))
	}
	compareGolden(t, "testdata/shape.txt", got.String())
}

// TestUnusedShape holds which series a proxy shows before it has done anything: those that are
// known beforehand.
func TestUnusedShape(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics.New(reg)
	compareGolden(t, "testdata/unused.txt", series(t, reg))
}

// TestValues holds what each verb does to the numbers.
func TestValues(t *testing.T) {
	reg := prometheus.NewRegistry()
	exercise(metrics.New(reg))
	compareGolden(t, "testdata/values.txt", series(t, reg))
}

// series prints each series with its value; of a histogram its count and sum. What depends on the
// machine that builds the test is replaced.
func series(t *testing.T, g prometheus.Gatherer) string {
	t.Helper()
	built := strings.NewReplacer(runtime.GOOS+"/"+runtime.GOARCH, "PLATFORM", runtime.Version(), "GO-VERSION")
	var out strings.Builder
	for _, f := range gather(t, g) {
		for _, s := range f.GetMetric() {
			var labels []string
			for _, l := range s.GetLabel() {
				labels = append(labels, l.GetName()+"="+built.Replace(l.GetValue()))
			}
			fmt.Fprintf(&out, "%s{%s} %s\n", f.GetName(), strings.Join(labels, ","), value(s))
		}
	}
	return out.String()
}

func value(s *dto.Metric) string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	switch {
	case s.GetHistogram() != nil:
		h := s.GetHistogram()
		return fmt.Sprintf("count %d sum %s", h.GetSampleCount(), number(h.GetSampleSum()))
	case s.GetCounter() != nil:
		return number(s.GetCounter().GetValue())
	}
	return number(s.GetGauge().GetValue())
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}

func TestChangesTaken(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := metrics.New(reg)
	m.ServiceChange()
	m.ServiceChange()
	m.EndpointChange()
	m.ChangesTaken()
	m.EndpointChange()
	got := series(t, reg)
	for _, want := range []string{
		"kubeproxy_sync_proxy_rules_service_changes_total{} 2\n",
		"kubeproxy_sync_proxy_rules_service_changes_pending{} 0\n",
		"kubeproxy_sync_proxy_rules_endpoint_changes_total{} 2\n",
		"kubeproxy_sync_proxy_rules_endpoint_changes_pending{} 1\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestFrontendsLimited: a limit that is gone shows 0, for alerts that end.
func TestFrontendsLimited(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := metrics.New(reg)
	m.FrontendsLimited(map[metrics.Limit]int{{metrics.LimitBlocked, "NoEndpoints"}: 5, {metrics.LimitFailing, "HNSPortInUse"}: 1})
	m.FrontendsLimited(map[metrics.Limit]int{{metrics.LimitBlocked, "NoEndpoints"}: 3})
	got := series(t, reg)
	for _, want := range []string{
		"hnsproxy_frontends_limited{reason=NoEndpoints,state=blocked} 3\n",
		"hnsproxy_frontends_limited{reason=HNSPortInUse,state=failing} 0\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestSyncFailed: the length of a failed sync counts, but it is no last success.
func TestSyncFailed(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics.New(reg).SyncFailed(hnslb.IPv6, start, start.Add(time.Second))
	got := series(t, reg)
	if want := "kubeproxy_sync_proxy_rules_duration_seconds{ip_family=IPv6} count 1 sum 1\n"; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
	if strings.Contains(got, "sync_proxy_rules_last_timestamp_seconds") {
		t.Errorf("a failed sync was stamped as a success:\n%s", got)
	}
}

func TestLoadBalancerFailedError(t *testing.T) {
	create := func(code hnslb.HRESULT) error {
		return fmt.Errorf("apply: %w", hnslb.NewError(hnslb.VerbCreateLoadBalancer, "10.96.0.1:443/TCP", code, "said no"))
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{create(hnslb.ResultNetworkNotFound), "network_not_found"},
		{create(hnslb.ResultEndpointNotFound), "other"},
		{create(hnslb.ResultPortAlreadyExists), "port_already_exists"},
		{create(hnslb.ResultRequestUnsupported), "not_implemented"},
		{create(hnslb.ResultInvalidIP), "invalid_ip"},
		{create(hnslb.ResultInvalidJSON), "other"},
		{&hnslb.Error{Class: hnslb.Timeout}, "other"},
		{os.ErrClosed, "other"},
	} {
		reg := prometheus.NewRegistry()
		metrics.New(reg).LoadBalancerFailed(hnslb.VerbCreateLoadBalancer, hnslb.IPv4, metrics.ClusterIP, tt.err)
		want := "kubeproxy_sync_proxy_rules_winkernel_lb_create_failures_total{error=" + tt.want +
			",ip_family=IPv4,lb_type=clusterip} 1\n"
		if got := series(t, reg); !strings.Contains(got, want) {
			t.Errorf("%v: no %q in\n%s", tt.err, want, got)
		}
	}
}

// TestTwoMetrics: nothing is global.
func TestTwoMetrics(t *testing.T) {
	a, b := prometheus.NewRegistry(), prometheus.NewRegistry()
	metrics.New(a).Pending(3)
	metrics.New(b)
	if got := series(t, b); !strings.Contains(got, "hnsproxy_pending{} 0\n") {
		t.Errorf("one Metrics shows the numbers of another:\n%s", got)
	}
}

// TestUnset: upstream's gauge of Services without local endpoints is registered and has no
// series, as in kube-proxy.exe.
func TestUnset(t *testing.T) {
	const name = "kubeproxy_sync_proxy_rules_no_local_endpoints_total"
	reg := prometheus.NewRegistry()
	exercise(metrics.New(reg))
	if got := series(t, reg); strings.Contains(got, name) {
		t.Errorf("%s has a series:\n%s", name, got)
	}
	if err := reg.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: name})); err == nil {
		t.Errorf("%s is not registered", name)
	}
}
