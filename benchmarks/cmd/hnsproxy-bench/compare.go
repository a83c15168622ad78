// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
)

func newCompare() *cobra.Command {
	return &cobra.Command{
		Use:   "compare A B",
		Short: "Show two results side by side",
		Long: `Compare shows two results that 'run --out' or 'search --out' wrote, and for each figure how many times A it is in B. Figures of
calls and writes have no noise; those of time and memory have, so compare runs of the same machine.`,
		Example: "  hnsproxy-bench compare results/before results/after",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, arguments []string) error {
			var both [2]*result.Result
			for i, path := range arguments {
				var err error
				if both[i], err = result.Read(path); err != nil {
					return err
				}
			}
			return writeComparison(c.OutOrStdout(), both)
		},
	}
}

// figure is a row of a comparison.
type figure struct {
	name string
	of   func(*result.Result) float64
	text func(float64) string
}

func figures() []figure {
	count := func(f float64) string { return fmt.Sprintf("%.0f", f) }
	short := func(f float64) string { return fmt.Sprintf("%.4g", f) }
	seconds := func(f float64) string { return fmt.Sprintf("%.3g s", f) }
	memory := func(f float64) string { return fmt.Sprintf("%.1f MiB", f/(1<<20)) }
	return []figure{
		{"highest sustained rate", func(r *result.Result) float64 { return searched(r).Rate }, short},
		{"part of what HNS allows", func(r *result.Result) float64 { return searched(r).Share }, short},
		{"changes", func(r *result.Result) float64 { return float64(r.Totals.Changes) }, count},
		{"changes per second", func(r *result.Result) float64 { return r.Totals.Throughput }, short},
		{"latency p50", func(r *result.Result) float64 { return r.Totals.Latency.P50Millis }, millis},
		{"latency p90", func(r *result.Result) float64 { return r.Totals.Latency.P90Millis }, millis},
		{"latency p99", func(r *result.Result) float64 { return r.Totals.Latency.P99Millis }, millis},
		{"latency p99.9", func(r *result.Result) float64 { return r.Totals.Latency.P999Millis }, millis},
		{"latency max", func(r *result.Result) float64 { return r.Totals.Latency.MaxMillis }, millis},
		{"HNS writes", func(r *result.Result) float64 { return float64(r.Totals.HNSWrites) }, count},
		{"HNS busy", func(r *result.Result) float64 { return r.Totals.BusyShare }, short},
		{"efficiency", func(r *result.Result) float64 { return r.Totals.Efficiency }, short},
		{"dark, all frontends", func(r *result.Result) float64 { return r.Totals.Dark.TotalMillis }, millis},
		{"dark, longest", func(r *result.Result) float64 { return r.Totals.Dark.LongestMillis }, millis},
		{"CPU", func(r *result.Result) float64 { return r.Totals.CPUSeconds }, seconds},
		{"peak memory", func(r *result.Result) float64 { return float64(r.Totals.PeakMemoryBytes) }, memory},
		{"allocations", func(r *result.Result) float64 { return float64(r.Totals.Allocations) }, count},
		{"allocated", func(r *result.Result) float64 { return float64(r.Totals.AllocatedBytes) }, memory},
	}
}

func searched(r *result.Result) result.Search {
	if r.Search == nil {
		return result.Search{}
	}
	return *r.Search
}

func writeComparison(w io.Writer, both [2]*result.Result) error {
	t := newTable(w)
	t.row("", "A", "B", "B/A")
	about := func(name string, of func(result.Run) string) {
		a, b := of(both[0].Run), of(both[1].Run)
		differs := ""
		if a != b {
			differs = "differs"
		}
		t.row(name, a, b, differs)
	}
	about("scenario", func(r result.Run) string { return r.Scenario })
	about("proxy", func(r result.Run) string { return r.Proxy })
	about("HNS", func(r result.Run) string { return fmt.Sprintf("%s, latency %s", r.Profile, r.HNSLatency) })
	about("cluster", func(r result.Run) string { return fmt.Sprintf("%d Services, %d endpoints", r.Services, r.Endpoints) })
	about("offered", func(r result.Run) string {
		return fmt.Sprintf("%.4g/s for %.4g s, seed %d", r.Rate, r.DurationSeconds, r.Seed)
	})
	row := func(f figure) {
		a, b := f.of(both[0]), f.of(both[1])
		ratio := ""
		if a != 0 {
			ratio = fmt.Sprintf("%.2f", b/a)
		}
		if a != 0 || b != 0 {
			t.row(f.name, f.text(a), f.text(b), ratio)
		}
	}
	for _, f := range figures() {
		row(f)
	}
	verbs := map[string]bool{}
	for _, r := range both {
		for v := range r.Totals.HNSCalls {
			verbs[v] = true
		}
	}
	for _, v := range slices.Sorted(maps.Keys(verbs)) {
		row(figure{"calls of " + v, func(r *result.Result) float64 { return float64(r.Totals.HNSCalls[v]) }, func(f float64) string { return fmt.Sprintf("%.0f", f) }})
	}
	t.row("violations", violations(both[0]), violations(both[1]), "")
	return t.flush()
}
