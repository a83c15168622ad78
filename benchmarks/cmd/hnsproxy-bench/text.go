// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
)

// table is a table of text.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer) table { return table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

// row adds a row. What goes wrong is told by flush.
func (t table) row(cells ...string) { _, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t")) }

func (t table) flush() error { return t.w.Flush() }

// millis prints milliseconds with three digits that count.
func millis(ms float64) string {
	switch {
	case ms == 0:
		return "-"
	case ms < 1:
		return fmt.Sprintf("%.0f µs", ms*1000)
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f s", ms/1000)
}

func about(r result.Run) string {
	return fmt.Sprintf("%d Services, %d endpoints; %.4g changes/s for %.4g s; proxy %s; HNS %s, latency %s, %s",
		r.Services, r.Endpoints, r.Rate, r.DurationSeconds, r.Proxy, r.Profile, r.HNSLatency, r.NetworkType)
}

func violations(r *result.Result) string {
	switch err := r.Totals.Violations.Err(); {
	case r.Run.Interrupted:
		return "not judged: the run was interrupted"
	case r.Run.Overloaded:
		return "not judged: the run was ended, too many changes were waiting"
	case err != nil:
		return strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return "none"
}

func writeRun(w io.Writer, r *result.Result) error {
	t, l := r.Totals, r.Totals.Latency
	out := newTable(w)
	out.row("scenario", fmt.Sprintf("%s: %s", r.Run.Scenario, about(r.Run)))
	out.row("changes", fmt.Sprintf("%d in %.1f s, %.1f of it after the last: %.4g/s", t.Changes, t.Seconds, t.TailSeconds, t.Throughput))
	out.row("latency", fmt.Sprintf("p50 %s, p90 %s, p99 %s, p99.9 %s, max %s",
		millis(l.P50Millis), millis(l.P90Millis), millis(l.P99Millis), millis(l.P999Millis), millis(l.MaxMillis)))
	out.row("HNS writes", fmt.Sprintf("%d, needed %d", t.HNSWrites, t.NeededWrites))
	out.row("HNS busy", fmt.Sprintf("%.0f %%", 100*t.BusyShare))
	if t.HNSRate > 0 {
		out.row("HNS allows", fmt.Sprintf("%.4g changes/s, %s", t.HNSRate, writeTime(t)))
		out.row("efficiency", fmt.Sprintf("%.2f", t.Efficiency))
	}
	out.row("HNS calls", calls(t.HNSCalls))
	out.row("dark", fmt.Sprintf("%d times on %d frontends, longest %s, all %s", t.Dark.Times, t.Dark.Frontends, millis(t.Dark.LongestMillis), millis(t.Dark.TotalMillis)))
	process := fmt.Sprintf("CPU %.1f s, peak memory %.0f MiB", t.CPUSeconds, float64(t.PeakMemoryBytes)/(1<<20))
	if t.Changes > 0 && t.Allocations > 0 {
		process += fmt.Sprintf(", %d allocations and %.1f KiB per change, load and emulator included",
			t.Allocations/uint64(t.Changes), float64(t.AllocatedBytes)/1024/float64(t.Changes))
	}
	out.row("process", process)
	out.row("violations", violations(r))
	return out.flush()
}

// writeTime says how long a write took, and by the model.
func writeTime(t result.Totals) string {
	text := fmt.Sprintf("with %s for each write", millis(t.WriteMillis))
	if t.ModelWriteMillis > 0 {
		text += fmt.Sprintf(" (by the model %s)", millis(t.ModelWriteMillis))
	}
	return text
}

func calls(verbs map[string]int) string {
	var all []string
	for _, v := range slices.Sorted(maps.Keys(verbs)) {
		all = append(all, fmt.Sprintf("%s %d", v, verbs[v]))
	}
	return strings.Join(all, ", ")
}

func verdict(t result.Try) string {
	if t.Sustained {
		return "sustained"
	}
	return t.Reason
}

func writeSearch(w io.Writer, r *result.Result) error {
	s := r.Search
	out := newTable(w)
	out.row("RATE", "P50", "P99", "MAX", "WAITING", "HNS BUSY", "VERDICT")
	for _, t := range s.Tries {
		text := verdict(t)
		if t.Confirms {
			text += " (confirmation)"
		}
		out.row(fmt.Sprintf("%.4g/s", t.Rate), millis(t.P50Millis), millis(t.P99Millis), millis(t.MaxMillis), fmt.Sprint(t.Backlog),
			fmt.Sprintf("%.0f %%", 100*t.HNSBusy), text)
	}
	if err := out.flush(); err != nil {
		return err
	}
	text := fmt.Sprintf("\nhighest sustained rate of %s: %.4g changes/s with p99 up to %s", r.Run.Scenario, s.Rate, millis(s.BoundMillis))
	if s.Share > 0 {
		text += fmt.Sprintf(", %.2f of the %.4g/s that HNS allows %s", s.Share, s.HNSRate, writeTime(r.Totals))
	}
	if r.Run.Interrupted {
		text += " (interrupted: not confirmed)"
	}
	_, err := fmt.Fprintf(w, "%s\n%s\n", text, about(r.Run))
	return err
}
