// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// programming is the time from a change of an endpoint to its being in force, which scale tests look at.
const programming = "kubeproxy_network_programming_duration_seconds"

// TestMetrics holds the numbers of a proxy that has worked against what it did.
func TestMetrics(t *testing.T) {
	for _, setup := range bothWays(harness.Setup{Profile: profiles.WS2025()}) {
		t.Run(setup.String(), func(t *testing.T) { metrics(t, setup) })
	}
}

func metrics(t *testing.T, setup harness.Setup) {
	t.Helper()
	w := harness.New(t, plane, setup)
	group := w.Group("web", 2)
	w.Service("web")
	proxy := w.StartProxy()
	w.Converge()
	// Changes before the start do not count, and the endpoint controller has the time of a change in whole seconds: those of
	// the first second may seem to be from before.
	w.Eventually("observe changes", func() bool {
		w.Must(group.Scale(t.Context(), 7-len(group.Pods()))) // 5 and 2 in turn
		w.Converge()
		count, _ := proxy.Metrics().Sum(programming, "ip_family", "IPv4")
		return count >= 3
	})
	m := proxy.Metrics()
	if count, sum := m.Sum(programming, "ip_family", "IPv4"); sum < 0 || sum/float64(count) > 5 {
		t.Errorf("%s has %d observations, %v s together, want less than 5 s each", programming, count, sum)
	}
	if got := m.Value("rest_client_requests_total", "code", "200", "method", "GET"); got < 3 {
		t.Errorf("rest_client_requests_total counts %v successful requests, want at least the three watches", got)
	}
	if got, want := m.Value("hnsproxy_frontends", "state", "programmed"), float64(count(w.Held(), false)+count(w.Held(), true)); got != want {
		t.Errorf("hnsproxy_frontends has %v programmed, HNS %v", got, want)
	}
	var remotes float64
	for _, line := range w.Held() {
		if strings.Contains(line, " remote") {
			remotes++
		}
	}
	if got := m.Value("hnsproxy_remote_endpoints"); got != remotes {
		t.Errorf("hnsproxy_remote_endpoints is %v, HNS has %v", got, remotes)
	}
	failed := w.HNS.Errors() // a Pod here may be gone before hnsproxy hears of it
	counts := w.Calls()
	counts[hnslb.VerbLoadBalancers] -= w.ReadCalls()[hnslb.VerbLoadBalancers] - 1 // package hcn's one comparison is no list of hnsproxy's
	for verb, calls := range counts {
		all := m.Value("hnsproxy_hns_calls_total", "verb", string(verb))
		good := m.Value("hnsproxy_hns_calls_total", "verb", string(verb), "result", "ok")
		if all != float64(calls) || good != float64(calls-failed[verb]) {
			t.Errorf("hnsproxy_hns_calls_total counts %v %s, %v of them good; HNS %d, of which %d failed", all, verb, good, calls, failed[verb])
		}
	}

	t.Log("a restart is no change of an endpoint")
	proxy.Stop()
	proxy = w.StartProxy()
	w.Converge()
	if count, _ := proxy.Metrics().Sum(programming); count != 0 {
		t.Errorf("%s has %d observations after a restart without changes", programming, count)
	}
}

// TestHealth drains the node, as the cluster autoscaler does: load balancers are told, the liveness probe is not.
func TestHealth(t *testing.T) {
	w := harness.New(t, plane, harness.Setups()[0])
	proxy := w.StartProxy()
	w.Converge()
	healthz := func(want int) func() bool {
		return func() bool {
			code, _ := proxy.Get("healthz", "/healthz")
			return code == want
		}
	}
	w.Eventually("be healthy", healthz(200))
	for _, step := range []struct {
		taints string
		want   int
	}{
		{`[{"key":"ToBeDeletedByClusterAutoscaler","effect":"NoSchedule"}]`, 503},
		{`null`, 200},
	} {
		patch := []byte(`{"spec":{"taints":` + step.taints + `}}`)
		_, err := plane.Admin.CoreV1().Nodes().Patch(t.Context(), w.Node, types.MergePatchType, patch, metav1.PatchOptions{})
		w.Must(err)
		w.Eventually("follow the taint", healthz(step.want))
		if code, body := proxy.Get("healthz", "/livez"); code != 200 {
			t.Errorf("/livez: %d %s", code, body)
		}
	}
	w.Must(w.Kubelet.RemoveNode(t.Context(), w.Node))
	w.Eventually("follow the Node's deletion", healthz(503))
}

// TestRequests holds hnsproxy to the requests that it needs. That none is refused every other test holds as well.
func TestRequests(t *testing.T) {
	for _, setup := range bothWays(harness.Setup{Profile: profiles.WS2022()}) {
		t.Run(setup.String(), func(t *testing.T) { requests(t, setup) })
	}
}

func requests(t *testing.T, setup harness.Setup) {
	t.Helper()
	w := harness.New(t, plane, setup)
	w.Group("web", 3)
	w.Service("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer })
	w.StartProxy()
	w.Converge()
	allowed := []string{"get nodes", "list nodes", "watch nodes", "list services", "watch services", "list endpointslices",
		"watch endpointslices", "create events", "patch events"}
	seen := map[string]bool{}
	for _, request := range w.Requests() {
		what := request.Verb + " " + request.Resource
		seen[what] = true
		if !slices.Contains(allowed, what) || request.Code >= 300 {
			t.Errorf("hnsproxy did %s, answer %d", what, request.Code)
		}
		if !strings.HasPrefix(request.UserAgent, "hnsproxy/") {
			t.Errorf("hnsproxy calls itself %q", request.UserAgent)
		}
	}
	for _, what := range []string{"watch services", "watch endpointslices", "watch nodes"} {
		if !seen[what] {
			t.Errorf("hnsproxy did not %s, only %v", what, seen)
		}
	}
}
