// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"maps"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics are the numbers of a page that Prometheus reads.
type Metrics map[string]*dto.MetricFamily

// ParseMetrics reads such a page.
func ParseMetrics(page string) (Metrics, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return families, nil
}

// Metrics returns hnsproxy's numbers. Those of the Kubernetes libraries are of the whole process.
func (p *Proxy) Metrics() Metrics {
	p.tb.Helper()
	_, page := p.Get("metrics", "/metrics")
	metrics, err := ParseMetrics(page)
	if err != nil {
		p.tb.Fatal(err)
	}
	return metrics
}

// Sum adds up the values of a metric's series that have all these labels: name, value, name, value. Of a histogram it
// returns the number and the sum of what was observed.
func (m Metrics) Sum(name string, labels ...string) (count uint64, sum float64) {
	for _, series := range m[name].GetMetric() {
		if !hasLabels(series, labels) {
			continue
		}
		if h := series.GetHistogram(); h != nil {
			count += h.GetSampleCount()
		} else {
			count++
		}
		sum += series.GetCounter().GetValue() + series.GetGauge().GetValue() + series.GetHistogram().GetSampleSum()
	}
	return count, sum
}

func hasLabels(series *dto.Metric, labels []string) bool {
	have := map[string]string{}
	for _, label := range series.GetLabel() {
		have[label.GetName()] = label.GetValue()
	}
	want := maps.Clone(have)
	for i := 0; i+1 < len(labels); i += 2 {
		want[labels[i]] = labels[i+1]
	}
	return maps.Equal(have, want)
}

// Value is Sum for a metric that is no histogram.
func (m Metrics) Value(name string, labels ...string) float64 {
	_, sum := m.Sum(name, labels...)
	return sum
}
