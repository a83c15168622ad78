// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Command hnsproxy-bench measures Service proxies for Windows: how long a change of a Service takes until HNS serves it, and how
// many changes a second a proxy sustains.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the run with a report. A second one ends the program at once.
	context.AfterFunc(ctx, stop)
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "hnsproxy-bench",
		Short: "Measure Service proxies for Windows nodes",
		Long: `hnsproxy-bench makes a cluster of Services, changes it, and measures how long each change takes until HNS, which is
emulated, sends to exactly the endpoints that the change asks for. What a scenario does is in a small YAML file.

Latency counts from the time at which a change was meant to be written, and changes are written at their time whether or not
the proxy keeps up. So a proxy that stalls is not spared the changes that come meanwhile (no coordinated omission).`,
		Example: `  # What there is
  hnsproxy-bench list

  # One endpoint replaced 20 times a second among 1,000 Services of 10
  hnsproxy-bench run steady

  # The highest rate at which 99 of 100 changes are in force within half a second
  hnsproxy-bench search steady

  # On another release of Windows, and side by side
  hnsproxy-bench run steady --out a
  hnsproxy-bench run steady --profile ws2025 --out b
  hnsproxy-bench compare a b`,
		SilenceUsage: true, SilenceErrors: true, Args: cobra.NoArgs,
	}
	c.CompletionOptions.HiddenDefaultCmd = true
	c.AddCommand(newRun(), newSearch(), newList(), newCompare())
	return c
}
