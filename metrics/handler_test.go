// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"bytes"
	"errors"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func get(t *testing.T, h http.Handler) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	return w.Code, w.Body.String()
}

// TestHandler: the page has ours, and what kube-proxy shows through component-base, client
// requests included.
func TestHandler(t *testing.T) {
	apiServer := httptest.NewServer(http.NotFoundHandler())
	defer apiServer.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: apiServer.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.ServerVersion(); err == nil {
		t.Fatal("the test's API server answered")
	}

	reg := prometheus.NewRegistry()
	exercise(metrics.New(reg))
	code, body := get(t, metrics.Handler(reg, nil))
	if code != http.StatusOK {
		t.Fatalf("status %d: %s", code, body)
	}
	for _, want := range []string{
		"\nhnsproxy_pending 8\n",
		"\nkubeproxy_proxy_livez_total{code=\"503\"} 1\n",
		"\nkubernetes_build_info{",
		"\nrest_client_requests_total{code=\"404\"",
		"\ngo_goroutines ",
		"\nregistered_metrics_total{",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q on the page", want)
		}
	}
}

// broken is a collector that always fails.
type broken struct{}

func (broken) Describe(c chan<- *prometheus.Desc) { c <- desc() }
func (broken) Collect(c chan<- prometheus.Metric) {
	c <- prometheus.NewInvalidMetric(desc(), errors.New("this one fails"))
}

func desc() *prometheus.Desc { return prometheus.NewDesc("broken", "fails", nil, nil) }

func TestHandlerSurvivesBrokenCollector(t *testing.T) {
	reg := prometheus.NewRegistry()
	exercise(metrics.New(reg))
	reg.MustRegister(broken{})
	var said bytes.Buffer
	code, body := get(t, metrics.Handler(reg, log.New(&said, "", 0)))
	if code != http.StatusOK || !strings.Contains(body, "hnsproxy_pending 8") {
		t.Errorf("one broken collector hid the rest: status %d", code)
	}
	if !strings.Contains(said.String(), "this one fails") {
		t.Errorf("the failure was not logged: %q", said.String())
	}
}
