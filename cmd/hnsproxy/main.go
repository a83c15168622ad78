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
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/service"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"k8s.io/component-base/logs"
)

func main() { os.Exit(run(emulate())) }

// stopSignals are what ends the program in good order. On Windows Go makes an Interrupt of
// Ctrl+C and Ctrl+Break, and a SIGTERM of a console that is closed, a user who logs off, and
// a system that shuts down. Elsewhere a terminal that is closed sends SIGHUP, unless nohup
// made the program deaf to it.
func stopSignals() []os.Signal {
	out := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		out = append(out, syscall.SIGHUP)
	}
	return out
}

// run returns the exit code, see app.ExitCode.
func run(emulate app.Emulate) int {
	defer logs.FlushLogs()
	ctx, stop := signal.NotifyContext(context.Background(), stopSignals()...)
	defer stop()
	// The first signal ends the program in good order. From then on signals do what they
	// do by default, so that a second one ends it at once.
	context.AfterFunc(ctx, stop)
	if err := service.IgnoreLogoff(); err != nil {
		fmt.Fprintln(os.Stderr, "Warning: the program may be terminated when a user logs off:", err)
	}
	s := service.Begin(ctx, os.Args[1:])
	err := app.NewCommand(s, emulate).ExecuteContext(s.Context())
	code := app.ExitCode(err)
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", printable.Lines(err.Error()))
	}
	s.End(code, err)
	return code
}
