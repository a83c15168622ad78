// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Command hnsproxy makes Kubernetes Services work on a Windows node.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/app"
	"github.com/hnsproxy/hnsproxy/proxier/printable"
	"k8s.io/component-base/logs"
)

func main() { os.Exit(run()) }

// run returns the exit code: 0 after a clean stop, 1 after an error.
func run() int {
	defer logs.FlushLogs()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal ends the program in good order. From then on signals do what they
	// do by default, so that a second one ends it at once.
	context.AfterFunc(ctx, stop)
	if err := app.NewCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", printable.Lines(err.Error()))
		return 1
	}
	return 0
}
