// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/measure"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/scenario"
)

const runHelp = `Run runs each scenario once: it fills HNS with the cluster, starts the proxy, makes the changes, and waits until the last one
is in force and HNS holds nothing that nobody wants. A SCENARIO is a name that 'hnsproxy-bench list' shows, or a file.

It prints a line each second, and at the end:

  latency      from the time at which a change was meant to be written until HNS serves exactly what it asks for
  throughput   changes per second that came into force, until HNS had nothing left to do
  needed       HNS writes that the changes cost if each is made on its own; fewer when changes are merged
  efficiency   time that HNS needs for these writes, as part of the time taken; near 1 is all that HNS can do
  HNS allows   changes per second with which HNS alone would be busy all the time, as long as its writes took in this run;
               where that is much more than the model says, the machine is too busy to measure on
  dark         time in which frontends that have endpoints were served by nobody

The exit code is 1 when a change was missed, when HNS was left with something stale or leaked, when an older state came into
force after a newer one, or when HNS was written to for nothing.

Ctrl-C ends the run with the report of what there is.`

func newRun() *cobra.Command {
	var patience time.Duration
	c := &cobra.Command{
		Use:   "run SCENARIO...",
		Short: "Run scenarios and say how long changes took",
		Long:  runHelp,
		Example: `  hnsproxy-bench run steady
  hnsproxy-bench run steady burst --services 10000 --out results
  hnsproxy-bench run mine.yaml --profile my-node.json --latency profile -o json`,
		Args: cobra.MinimumNArgs(1),
	}
	overrides, out := addOverrides(c.Flags()), addOutput(c.Flags())
	c.Flags().DurationVar(&patience, "patience", 5*time.Minute, "how `long` to wait for the last changes")
	c.RunE = func(c *cobra.Command, arguments []string) error {
		if err := out.validate(); err != nil {
			return err
		}
		var all []error
		for _, argument := range arguments {
			if c.Context().Err() != nil {
				break
			}
			s, err := overrides.read(argument)
			if err != nil {
				return err
			}
			r, err := runOne(c, s, patience)
			if err != nil {
				return err
			}
			dir := out.dir
			if dir != "" && len(arguments) > 1 {
				dir = filepath.Join(dir, s.Name)
			}
			if err := show(c.OutOrStdout(), r, out.format, dir); err != nil {
				return err
			}
			all = append(all, r.Err())
		}
		return errors.Join(all...)
	}
	return c
}

func runOne(c *cobra.Command, s scenario.Scenario, patience time.Duration) (*result.Result, error) {
	log := c.ErrOrStderr()
	say(log, "%s: filling HNS with %d Services", s.Name, s.Cluster.Services)
	b, err := open(c.Context(), s)
	if err != nil {
		return nil, err
	}
	return b.Run(c.Context(), measure.Options{Limits: measure.Limits{Patience: patience, Progress: progress(log)}})
}

// say prints a line that is no part of the result, so that it does not matter whether that works.
func say(w io.Writer, format string, arguments ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", arguments...)
}

// progress prints a line for each second.
func progress(w io.Writer) func(result.Second) {
	return func(s result.Second) {
		say(w, "%5.0f s  offered %d, in force %d, waiting %d; p50 %s, p99 %s; HNS busy %.0f %%",
			s.At, s.Offered, s.Applied, s.Backlog, millis(s.P50Millis), millis(s.P99Millis), 100*s.HNSBusy)
	}
}

// show prints a result, and keeps it in a directory if there is one.
func show(w io.Writer, r *result.Result, format, dir string) error {
	if dir != "" {
		if err := r.WriteDir(dir); err != nil {
			return err
		}
	}
	if format == "json" {
		return r.WriteJSON(w)
	}
	if r.Search != nil {
		return writeSearch(w, r)
	}
	return writeRun(w, r)
}
