// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hnsproxy/hnsproxy/e2e/process"
)

// queries are those of the dashboard "Kubernetes / Proxy" and of the alerts of
// https://github.com/kubernetes-monitoring/kubernetes-mixin, for one instance ($I), with a
// shorter range than a day of scrapes allows.
var queries = []struct {
	query string
	// notTheirs is why kube-proxy.exe has no data for it.
	notTheirs string
	// rare is about what may not have happened in the range, so that a quantile is NaN.
	rare bool
}{
	{query: `sum(up{job="kube-proxy", instance="$I"})`},
	{query: `sum(rate(kubeproxy_sync_proxy_rules_duration_seconds_count{job="kube-proxy", instance="$I"}[1m]))`},
	{query: `histogram_quantile(0.99, rate(kubeproxy_sync_proxy_rules_duration_seconds_bucket{job="kube-proxy", instance="$I"}[1m]))`},
	{query: `sum(rate(kubeproxy_network_programming_duration_seconds_count{job="kube-proxy", instance="$I"}[1m])) by (instance)`, notTheirs: notSet},
	{query: `histogram_quantile(0.99, sum(rate(kubeproxy_network_programming_duration_seconds_bucket{job="kube-proxy", instance="$I"}[1m])) by (instance, le))`, notTheirs: notSet},
	{query: `sum(rate(rest_client_requests_total{job="kube-proxy", instance="$I", code=~"2.."}[1m]))`},
	{query: `histogram_quantile(0.99, sum(rate(rest_client_request_duration_seconds_bucket{job="kube-proxy", instance="$I", verb="POST"}[1m])) by (verb, le))`, rare: true},
	{query: `histogram_quantile(0.99, sum(rate(rest_client_request_duration_seconds_bucket{job="kube-proxy", instance="$I", verb="GET"}[1m])) by (verb, le))`, rare: true},
	{query: `process_resident_memory_bytes{job="kube-proxy", instance="$I"}`},
	{query: `rate(process_cpu_seconds_total{job="kube-proxy", instance="$I"}[1m])`},
	{query: `go_goroutines{job="kube-proxy", instance="$I"}`},
	{query: `count(kubernetes_build_info{job="kube-proxy", instance="$I", git_version="v1.37.2"}) by (git_version)`},
	{query: `hnsproxy_build_info{instance="$I"}`, notTheirs: "it is ours"},
	{query: `sum(hnsproxy_frontends{instance="$I"}) by (state)`, notTheirs: "it is ours"},
}

const notSet = "kube-proxy registers it on Windows and never sets it"

// prometheus is a Prometheus that scrapes both programs.
type prometheus struct {
	*lab
	api string
}

func (l *lab) startPrometheus(targets ...string) *prometheus {
	l.Helper()
	dir := l.TempDir()
	config := fmt.Sprintf("scrape_configs:\n- job_name: kube-proxy\n  scrape_interval: 1s\n  static_configs:\n  - targets: [%s]\n", strings.Join(targets, ", "))
	file := filepath.Join(dir, "prometheus.yml")
	l.must(os.WriteFile(file, []byte(config), 0o600))
	address := freeAddress(l.T)
	installPrometheus(l.T)
	program, err := exec.LookPath("prometheus")
	l.must(err)
	running, err := process.Start(program, dir, []string{"--config.file=" + file, "--storage.tsdb.path=" + dir, "--web.listen-address=" + address})
	l.must(err)
	l.Cleanup(running.Kill)
	return &prometheus{l, "http://" + address}
}

// installPrometheus makes sure that prometheus and promtool are there.
func installPrometheus(t *testing.T) {
	t.Helper()
	if output, err := exec.CommandContext(t.Context(), "../../hack/prometheus.sh").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

// values returns how many series answer a query, those without a number only if they count.
func (p *prometheus) values(ctx context.Context, query string, nan bool) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.api+"/api/v1/query?query="+url.QueryEscape(query), nil)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	var out struct {
		Status, Error string
		Data          struct {
			Result []struct{ Value []any }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&out); err != nil {
		return 0, err
	}
	if out.Status != "success" {
		return 0, fmt.Errorf("query %s: %s", query, out.Error)
	}
	n := 0
	for _, r := range out.Data.Result {
		if len(r.Value) == 2 && (nan || r.Value[1] != "NaN") {
			n++
		}
	}
	return n, nil
}

// TestPrometheus has a real Prometheus scrape both programs at once, and asks it what
// dashboards ask.
func TestPrometheus(t *testing.T) {
	l := newLab(t)
	other := l.newHost()
	kubeProxy := l.start(l.kubeProxy, l.host)
	hnsproxy := l.start(l.hnsproxy, other)
	p := l.startPrometheus(l.addresses["metrics"], other.addresses["metrics"])
	l.must(l.addService())
	for _, q := range queries {
		ours := strings.ReplaceAll(q.query, "$I", other.addresses["metrics"])
		// An endpoint changes, so that rates have something to show.
		l.await("Prometheus to have "+ours, hnsproxy, func(ctx context.Context) bool {
			n, err := p.values(ctx, ours, q.rare)
			return l.touchService(ctx) == nil && err == nil && n > 0
		})
		theirs := strings.ReplaceAll(q.query, "$I", l.addresses["metrics"])
		n, err := p.values(t.Context(), theirs, q.rare)
		l.must(err)
		if (n > 0) != (q.notTheirs == "") {
			l.await("Prometheus to have "+theirs, kubeProxy, func(ctx context.Context) bool {
				n, err := p.values(ctx, theirs, q.rare)
				return l.touchService(ctx) == nil && err == nil && (n > 0) == (q.notTheirs == "")
			})
		}
	}
	t.Logf("%d queries have data", len(queries))
}

const serviceName = "web"

// addService makes a Service with an endpoint.
func (l *lab) addService() error {
	l.Helper()
	ctx := l.Context()
	if _, err := l.plane.Admin.CoreV1().Services("default").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: serviceName},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	}, metav1.CreateOptions{}); err != nil {
		return err
	}
	port, name := int32(8080), "http"
	_, err := l.plane.Admin.DiscoveryV1().EndpointSlices("default").Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: serviceName, Labels: map[string]string{discoveryv1.LabelServiceName: serviceName}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.244.7.1"}}},
	}, metav1.CreateOptions{})
	return err
}

// touchService gives it another endpoint, as the endpoint controller would.
func (l *lab) touchService(ctx context.Context) error {
	slices := l.plane.Admin.DiscoveryV1().EndpointSlices("default")
	slice, err := slices.Get(ctx, serviceName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	slice.Annotations = map[string]string{corev1.EndpointsLastChangeTriggerTime: now.Format(time.RFC3339Nano)}
	slice.Endpoints[0].Addresses = []string{fmt.Sprintf("10.244.7.%d", 1+now.UnixMilli()/50%200)}
	_, err = slices.Update(ctx, slice, metav1.UpdateOptions{})
	return err
}
