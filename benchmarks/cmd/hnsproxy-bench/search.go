// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/measure"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/scenario"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/search"
)

func newSearch() *cobra.Command {
	p99, confirm, precision := 500*time.Millisecond, 2, 0.05
	c := &cobra.Command{
		Use:   "search SCENARIO",
		Short: "Find the highest rate of changes that the proxy sustains",
		Long: `Search runs a scenario at one rate after another and finds the highest at which

  - 99 of 100 changes are in force within --p99,
  - neither the backlog of changes grows, nor the work that is left to HNS when the last change is made,
  - and nothing is missed, stale, leaked or out of order.

It doubles the rate until that fails, bisects, and runs the rate that it found again. Each run begins with the same cluster. The
result tells the rate as part of what HNS itself allows: the rate at which it would be busy all the time with the writes that
changes need, each made on its own. A proxy that merges changes may exceed it.`,
		Example: `  hnsproxy-bench search steady
  hnsproxy-bench search steady --services 10000 --rate 28 --duration 60s
  hnsproxy-bench search rolling --profile ws2025 --p99 1s --out results/rolling`,
		Args: cobra.ExactArgs(1),
	}
	overrides, out := addOverrides(c.Flags()), addOutput(c.Flags())
	c.Flags().DurationVar(&p99, "p99", p99, "`bound` of the 99th percentile of latency")
	c.Flags().IntVar(&confirm, "confirm", confirm, "`number` of runs that must confirm the rate found")
	c.Flags().Float64Var(&precision, "precision", precision, "`share` by which the rate found may be too low")
	c.RunE = func(c *cobra.Command, arguments []string) error {
		s, err := overrides.read(arguments[0])
		if err == nil {
			err = out.validate()
		}
		if err != nil {
			return err
		}
		if p99 <= 0 || confirm < 0 || precision < 0.001 || precision > 1 {
			return errors.New("--p99 must be above 0, --confirm at least 0, and --precision from 0.001 to 1")
		}
		config := search.Config{Start: s.Churn.Rate, Bound: measure.Millis(p99), Precision: precision, Confirm: confirm, MinRate: 0.1, MaxRate: 1e6}
		r, err := find(c, s, config)
		if err != nil {
			return err
		}
		if err := show(c.OutOrStdout(), r, out.format, out.dir); err != nil {
			return err
		}
		if r.Search.Rate == 0 {
			return fmt.Errorf("scenario %s: none of the rates tried is sustained", s.Name)
		}
		return nil
	}
	return c
}

// find searches, with a line on each try.
func find(c *cobra.Command, s scenario.Scenario, config search.Config) (*result.Result, error) {
	log := c.ErrOrStderr()
	say(log, "%s: filling HNS with %d Services", s.Name, s.Cluster.Services)
	b, err := open(c.Context(), s)
	if err != nil {
		return nil, err
	}
	config.Try = func(ctx context.Context, rate float64) (*result.Result, error) {
		say(log, "%s: trying %.4g changes/s for %s", s.Name, rate, s.Duration.Duration)
		limits := measure.Limits{Patience: time.Minute, MaxBacklog: search.MaxBacklog(rate, config.Bound)}
		return b.Run(ctx, measure.Options{Rate: rate, Limits: limits})
	}
	config.Tell = func(t result.Try) {
		say(log, "    %s; p99 %s, waiting %d, HNS busy %.0f %%", verdict(t), millis(t.P99Millis), t.Backlog, 100*t.HNSBusy)
	}
	return search.Find(c.Context(), config)
}
