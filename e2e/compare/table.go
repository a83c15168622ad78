// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// row is one line of a table: what is measured, and its text for a result.
type row struct {
	name string
	text func(Result) string
}

// rows are the lines of each table.
func rows() []row {
	return []row{
		{"COLD START", func(Result) string { return "" }},
		{"complete", func(r Result) string { return happened(r.Cold.Complete) }},
		{"cluster DNS", func(r Result) string { return happened(r.Cold.DNS) }},
		{"Service kubernetes", func(r Result) string { return happened(r.Cold.Kubernetes) }},
		{"first other Service", func(r Result) string { return happened(r.Cold.Others) }},
		{"HNS calls", func(r Result) string { return fmt.Sprint(r.Cold.Calls.Total) }},
		{"HNS busy writing, of the time", func(r Result) string { return fmt.Sprintf("%.0f %%", 100*r.Cold.Efficiency) }},
		{"CPU", func(r Result) string { return r.Cold.CPU.String() }},
		{"HALF A MINUTE WITHOUT CHANGES", func(Result) string { return "" }},
		{"HNS calls", func(r Result) string { return fmt.Sprint(r.Idle.Total) }},
		{"CHANGES", func(r Result) string { return fmt.Sprint(r.Churn.Changes) }},
		{"until programmed, p50", func(r Result) string { return ms(r.Churn.Latency.P50) }},
		{"p90", func(r Result) string { return ms(r.Churn.Latency.P90) }},
		{"p99", func(r Result) string { return ms(r.Churn.Latency.P99) }},
		{"max", func(r Result) string { return ms(r.Churn.Latency.Max) }},
		{"never programmed", func(r Result) string { return fmt.Sprint(r.Churn.Unseen) }},
		{"HNS calls per change", func(r Result) string { return fmt.Sprintf("%.2f", r.Churn.perChange(r.Churn.Calls.Total)) }},
		{"HNS writes per change", func(r Result) string { return fmt.Sprintf("%.2f", r.Churn.perChange(r.Churn.Calls.Writes)) }},
		{"dark: worst time of a frontend", func(r Result) string { return ms(r.Churn.Dark.Worst) }},
		{"dark: times, sum", func(r Result) string { return dark(r.Churn.Dark) }},
		{"endpoints left that nobody wants", func(r Result) string { return fmt.Sprint(r.Churn.Surplus) }},
		{"CPU", func(r Result) string { return r.Churn.CPU.String() }},
		{"KILL AND RESTART", func(Result) string { return "" }},
		{"first sync complete", func(r Result) string { return happened(r.Restart.Complete) }},
		{"HNS writes", func(r Result) string { return fmt.Sprint(r.Restart.Calls.Writes) }},
		{"HNS calls", func(r Result) string { return fmt.Sprint(r.Restart.Calls.Total) }},
		{"dark: worst time of a frontend", func(r Result) string { return ms(r.Restart.Dark.Worst) }},
		{"dark: times, sum", func(r Result) string { return dark(r.Restart.Dark) }},
		{"ALL SERVICES DELETED", func(Result) string { return "" }},
		{"HNS clean", func(r Result) string { return happened(r.Delete.Complete) }},
		{"load balancers left", func(r Result) string { return fmt.Sprint(r.Delete.LoadBalancers) }},
		{"endpoints left", func(r Result) string { return fmt.Sprint(r.Delete.Endpoints) }},
		{"handles left open", func(r Result) string { return fmt.Sprint(r.Delete.Handles) }},
		{"of hcsshim, after failed calls", func(r Result) string { return fmt.Sprint(r.Delete.HandlesAfterFailure) }},
		{"THE PROGRAM UNTIL ITS KILL", func(Result) string { return "" }},
		{"CPU", func(r Result) string { return r.CPU.String() }},
		{"peak memory", func(r Result) string { return fmt.Sprintf("%.0f MiB", r.PeakMemory) }},
		{"lines logged as errors", func(r Result) string { return fmt.Sprint(len(r.Errors)) }},
		{"load of the machine", func(r Result) string { return fmt.Sprintf("%.1f, %.1f", r.LoadBefore, r.LoadAfter) }},
	}
}

// String prints a time of a second and more, or of less.
func (s Seconds) String() string {
	if s < 1 {
		return ms(1000 * float64(s))
	}
	return fmt.Sprintf("%.1f s", float64(s))
}

// happened prints when something happened; 0 stands for never.
func happened(s Seconds) string {
	if s == 0 {
		return "not in time"
	}
	return s.String()
}

func ms(f float64) string {
	if f >= 10_000 {
		return fmt.Sprintf("%.1f s", f/1000)
	}
	return fmt.Sprintf("%.0f ms", f)
}

func dark(d Dark) string {
	text := fmt.Sprintf("%d, %s", d.Times, ms(d.Total))
	if d.Still > 0 {
		text += fmt.Sprintf(", %d still", d.Still)
	}
	return text
}

// perChange divides a number by the changes.
func (c Churn) perChange(n int) float64 { return float64(n) / float64(max(c.Changes, 1)) }

// writeText prints a table for each number of Services, and the calls behind it.
func (r Report) writeText(out io.Writer) error {
	e := r.Environment
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	write := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // Flush tells
	write("hnsproxy.exe beside kube-proxy.exe, %s\n\n", cmp.Or(r.Date, "undated"))
	write("machine\t%d CPUs, %d MiB, %s; API server, etcd and the emulated HNS share it\n", e.CPUs, e.Memory, e.Kernel)
	write("Windows\t%s (%s), HNS emulated as on %s, network %s\n", "Wine", e.Wine, e.Profile, e.Network)
	for _, name := range slices.Sorted(maps.Keys(e.Programs)) {
		write("%s\t%s\n", name, e.Programs[name])
	}
	write("API server\tkube-apiserver %s, this program %s\n", e.Kubernetes, e.Go)
	write("changes\t%g per second for %s, each replaces one of %d endpoints of a Service\n", e.Rate, e.ChangesFor, e.Endpoints)
	write("latency\tidle: HNS answers at once; ws2022: 8 ms per write, one at a time, 0.1 ms per read\n")
	if err := w.Flush(); err != nil {
		return err
	}
	for _, size := range r.sizes() {
		columns := slices.DeleteFunc(slices.Clone(r.Results), func(one Result) bool { return one.Services != size })
		write("\n%d SERVICES x %d ENDPOINTS\t%s\n", size, e.Endpoints, join(columns, func(one Result) string { return one.Program }))
		write("HNS\t%s\n", join(columns, func(one Result) string { return one.Latency }))
		for _, row := range rows() {
			write("%s\t%s\n", row.name, join(columns, row.text))
		}
		writeFunctions(write, columns)
		if err := w.Flush(); err != nil {
			return err
		}
	}
	r.writeHealings(write)
	return w.Flush()
}

// writeHealings prints a line for each trouble, with a column for each program.
func (r Report) writeHealings(write func(string, ...any)) {
	programs, names := []string{}, []string{}
	cells := map[[2]string]string{}
	for _, h := range r.Healings {
		cells[[2]string{h.Trouble, h.Program}] = h.String()
		if !slices.Contains(programs, h.Program) {
			programs = append(programs, h.Program)
		}
		if !slices.Contains(names, h.Trouble) {
			names = append(names, h.Trouble)
		}
	}
	if len(names) == 0 {
		return
	}
	write("\nIN TROUBLE, %d SERVICES x %d ENDPOINTS\t%s\n", healServices, r.Environment.Endpoints, strings.Join(programs, "\t"))
	for _, name := range names {
		write("%s", name)
		for _, p := range programs {
			write("\t%s", cells[[2]string{name, p}])
		}
		write("\n")
	}
}

// String says how it went in a few words.
func (h Healing) String() string {
	text := fmt.Sprintf("not healed in %.0f s", healWithin.Seconds())
	if h.Healed {
		text = "healed after " + h.After.String()
	}
	text += fmt.Sprintf("; dark %s; %d writes", ms(h.Dark.Worst), h.Writes)
	if h.Ended > 0 {
		text += fmt.Sprintf("; ended %d times", h.Ended)
	}
	return text
}

// writeFunctions prints the calls per change, by function and by verb.
func writeFunctions(write func(string, ...any), columns []Result) {
	functions, verbs := map[string]bool{}, map[hnslb.Verb]bool{}
	for _, c := range columns {
		for f := range c.Churn.Calls.Functions {
			functions[f] = true
		}
		for v := range c.Churn.Calls.Verbs {
			verbs[v] = true
		}
	}
	write("CALLS PER CHANGE BY FUNCTION\t\n")
	for _, f := range slices.Sorted(maps.Keys(functions)) {
		write("%s\t%s\n", f, join(columns, func(r Result) string {
			return fmt.Sprintf("%.3f", r.Churn.perChange(r.Churn.Calls.Functions[f]))
		}))
	}
	write("CALLS PER CHANGE BY VERB\t\n")
	for _, v := range slices.Sorted(maps.Keys(verbs)) {
		write("%s\t%s\n", v, join(columns, func(r Result) string {
			return fmt.Sprintf("%.3f", r.Churn.perChange(r.Churn.Calls.Verbs[v]))
		}))
	}
}

func (r Report) sizes() []int {
	var all []int
	for _, one := range r.Results {
		if !slices.Contains(all, one.Services) {
			all = append(all, one.Services)
		}
	}
	return all
}

func join(results []Result, text func(Result) string) string {
	var cells []string
	for _, r := range results {
		cells = append(cells, text(r))
	}
	return strings.Join(cells, "\t")
}
