// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

// TestReadme: the table names every metric with its type and labels, nothing else, and says
// of each what it means and when to worry.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 7 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		got[name] = strings.TrimSpace(cells[2]) + " " + strings.NewReplacer("`", "", "none", "").Replace(strings.TrimSpace(cells[3]))
		if strings.TrimSpace(cells[4]) == "" || strings.TrimSpace(cells[5]) == "" {
			t.Errorf("%s has no meaning or no word on when to worry", name)
		}
	}
	reg := prometheus.NewRegistry()
	exercise(metrics.New(reg))
	want := map[string]string{}
	for _, f := range gather(t, reg) {
		want[f.GetName()] = typeName(f) + " " + labelNames(f)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("README.md differs from what is registered (-registered +README):\n%s", diff)
	}
}
