// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/hnsproxy/hnsproxy/e2e/program"
)

var syncTime = regexp.MustCompile(`(?m)^kubeproxy_sync_proxy_rules_last_timestamp_seconds\{.*\} [1-9]`)

// synced tells whether a program has synced, by its page of metrics.
func synced(page string) bool { return syncTime.MatchString(page) }

// metricDifference is a metric that the two pages do not have alike.
type metricDifference struct {
	name *regexp.Regexp
	why  string
}

// metricDifferences are all that there are.
var metricDifferences = []metricDifference{
	{regexp.MustCompile("^hnsproxy_"), "our own"},
	{regexp.MustCompile("^kubeproxy_sync_proxy_rules_winkernel_lb_(create|update|delete)_failures_total$"),
		"there from the start, so that the first failure counts in a rate; kube-proxy shows one with its first failure"},
	{regexp.MustCompile("^kubeproxy_network_programming_duration_seconds$"),
		"kube-proxy registers it on Windows and never sets it; here it works"},
	{regexp.MustCompile("^(apiserver|aggregator)_"), "of API servers; kube-proxy links their library for its pages, and the numbers stay 0"},
}

// pageOfMetrics returns the page of a program that has answered its probes.
func (l *lab) pageOfMetrics(p program.Program) string {
	l.Helper()
	r := l.start(p, l.host)
	for _, q := range []request{{port: "healthz", path: "/healthz"}, {port: "healthz", path: "/livez"}} {
		_, err := ask(l.Context(), l.addresses, q)
		l.must(err)
	}
	a, err := ask(l.Context(), l.addresses, request{port: "metrics", method: http.MethodGet, path: "/metrics"})
	l.must(err)
	r.Stop()
	return a.body
}

// shapesOf are all of the metrics of a page but their values, by name.
func (l *lab) shapesOf(page string) map[string]string {
	l.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	l.must(err)
	out := map[string]string{}
	for name, f := range families {
		text := fmt.Sprintf("%s\n%s\n%v", f.GetType(), f.GetHelp(), labelNames(f.GetMetric()[0]))
		for _, b := range f.GetMetric()[0].GetHistogram().GetBucket() {
			text += fmt.Sprintf("\n%v", b.GetUpperBound())
		}
		out[name] = text
	}
	return out
}

func labelNames(m *dto.Metric) (names []string) {
	for _, l := range m.GetLabel() {
		names = append(names, l.GetName())
	}
	slices.Sort(names)
	return names
}

// TestMetrics compares the metrics of both programs: names, types, labels, buckets and help.
func TestMetrics(t *testing.T) {
	l := newLab(t)
	pages := map[string]string{}
	shapes := map[string]map[string]string{}
	for _, p := range []program.Program{l.kubeProxy, l.hnsproxy} {
		pages[p.Name] = l.pageOfMetrics(p)
		shapes[p.Name] = l.shapesOf(pages[p.Name])
	}
	theirs, ours := shapes["kube-proxy"], shapes["hnsproxy"]
	all := maps.Clone(theirs)
	maps.Copy(all, ours)
	used := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		diff := cmp.Diff(theirs[name], ours[name])
		if diff == "" {
			continue
		}
		known := slices.IndexFunc(metricDifferences, func(d metricDifference) bool { return d.name.MatchString(name) })
		if known < 0 {
			t.Errorf("%s (-kube-proxy +hnsproxy):\n%s", name, diff)
			continue
		}
		used[metricDifferences[known].why] = true
	}
	for _, d := range metricDifferences {
		if !used[d.why] {
			t.Errorf("nothing differs by this rule any more: %s, %s", d.name, d.why)
		}
	}
	t.Logf("%d metrics of kube-proxy compared with %d of hnsproxy", len(theirs), len(ours))
	if remarks, err := lint(t, pages["hnsproxy"]); err != nil {
		t.Errorf("promtool check metrics: %v:\n%s", err, remarks)
	}
}

// lint returns what promtool check metrics says of a page, with an error if that is anything.
func lint(t *testing.T, page string) (string, error) {
	t.Helper()
	installPrometheus(t)
	command := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	command.Stdin = strings.NewReader(page)
	output, err := command.CombinedOutput()
	return string(output), err
}
