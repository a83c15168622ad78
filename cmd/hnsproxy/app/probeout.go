// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/table"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/probe"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	pretty "github.com/jedib0t/go-pretty/v6/table"
)

// newReportTable returns a table without columns in which nothing stands.
func newReportTable(head ...any) pretty.Writer {
	t := table.NewPlain(head...)
	t.SuppressEmptyColumns()
	return t
}

// drawReport returns the report for people.
func drawReport(r *probe.Report) string {
	var out strings.Builder
	fmt.Fprintf(&out, "HNS %s, Windows %s, network of type %s\n\n", r.Version, printable.Text(cmp.Or(r.Build, "of unknown build")), printable.Text(r.Network))
	facts := newReportTable("fact", "our documents say", "found", "")
	var unknown []string
	for _, f := range r.Facts {
		note := ""
		if f.Differs() {
			note = "differs"
		}
		facts.AppendRow(pretty.Row{f.Fact, f.Documented, printable.Text(cmp.Or(f.Found, "unknown")), note})
		if f.Found == "" {
			unknown = append(unknown, fmt.Sprintf("  %s: %s\n", f.Fact, printable.Text(f.Unknown)))
		}
	}
	out.WriteString(facts.Render() + "\n\n" + drawTimings(r) + "\n")
	for _, why := range r.Untimed {
		out.WriteString("Not timed " + printable.Text(why) + "\n")
	}
	if len(unknown) > 0 {
		out.WriteString("\nUnknown is\n" + strings.Join(unknown, ""))
	}
	out.WriteString("\nOut of a client's reach, and taken from our documents in the profile, are\n")
	reasons := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(r.Unreached)) {
		reasons[r.Unreached[name]] = append(reasons[r.Unreached[name]], name)
	}
	for _, why := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(&out, "  %s: %s\n", strings.Join(reasons[why], ", "), printable.Text(why))
	}
	return out.String()
}

// drawTimings returns a table with a row for each verb and a column for each size.
func drawTimings(r *probe.Report) string {
	cells := map[hnslb.Verb]map[int]string{}
	var sizes []int
	for _, t := range r.Profile.Timings {
		if cells[t.Verb] == nil {
			cells[t.Verb] = map[int]string{}
		}
		cells[t.Verb][t.Objects] = fmt.Sprintf("%v / %v", rounded(t.Median), rounded(t.P99))
		sizes = append(sizes, t.Objects)
	}
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	head := []any{"median / p99 of"}
	for _, size := range sizes {
		head = append(head, fmt.Sprintf("%d objects", size))
	}
	t := newReportTable(head...)
	for _, v := range hnslb.Verbs() {
		if cells[v] == nil {
			continue
		}
		row := pretty.Row{string(v)}
		for _, size := range sizes {
			row = append(row, cells[v][size])
		}
		t.AppendRow(row)
	}
	return t.Render()
}

// rounded rounds a duration to about three digits.
func rounded(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
