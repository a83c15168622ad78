// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Hnsemu serves an emulated HNS to Windows programs under Wine, and its controls to whoever plays the rest of the host.
//
//	go run ./winlab/hnsemu --profile ws2025 --network azure &
//	hack/wine-exec.sh hnsproxy.exe ...
//	curl -d '{}' 127.0.0.1:47254/dump
//
// Package control lists the controls. The emulator ends on SIGINT and SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

type options struct {
	hcn, control  string
	profile       string
	network, kind string
	dump, state   string
	latency       emulator.Latency
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hnsemu:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("hnsemu", flag.ContinueOnError)
	flags.StringVar(&o.hcn, "hcn", "127.0.0.1:47253", "`address` that the DLLs reach (HNS_EMULATOR)")
	flags.StringVar(&o.control, "control", "127.0.0.1:47254", "`address` of the controls (HNS_CONTROL)")
	flags.StringVar(&o.profile, "profile", "ws2022", "Windows `release`")
	flags.StringVar(&o.network, "network", "", "`name` of a pod network to make on an address of this machine")
	flags.StringVar(&o.kind, "network-type", "L2Bridge", "its `type`")
	flags.StringVar(&o.dump, "dump", "", "`file` with a dump to begin with")
	flags.StringVar(&o.state, "state", "", "`file` to begin with, if it exists, and to save the state to at the end")
	flags.DurationVar(&o.latency.Read, "read", 0, "`time` that a read takes")
	flags.DurationVar(&o.latency.Write, "write", 0, "`time` that a write takes, one at a time")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", strings.Join(flags.Args(), " "))
	}
	return o, nil
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	e, err := o.emulator()
	if err != nil {
		return err
	}
	service, err := winlab.ServeAt(e, o.hcn, o.control)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s=%s %s=%s\n", winlab.EnvEmulator, service.HCN, winlab.EnvControl, service.Control)
	if err == nil {
		<-ctx.Done()
	}
	if err := errors.Join(err, service.Close()); err != nil || o.state == "" {
		return err
	}
	return e.SaveFile(o.state)
}

// emulator makes the host to begin with.
func (o options) emulator() (*emulator.Emulator, error) {
	profile, err := profiles.ByName(o.profile)
	if err != nil {
		return nil, err
	}
	e := emulator.New(emulator.Config{Profile: profile, Latency: o.latency})
	if err := o.load(e); err != nil {
		return nil, err
	}
	if o.network == "" {
		return e, nil
	}
	spec, err := winlab.Network(o.network, o.kind)
	if err == nil {
		_, err = e.AddNetwork(spec)
	}
	return e, err
}

// load reads the file that the host begins with, if there is one.
func (o options) load(e *emulator.Emulator) error {
	if o.state != "" {
		if _, err := os.Stat(o.state); err == nil {
			return e.LoadFile(o.state)
		}
	}
	if o.dump == "" {
		return nil
	}
	f, err := os.Open(o.dump)
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	st, err := emulator.ParseDump(f)
	if err != nil {
		return fmt.Errorf("dump %s: %w", o.dump, err)
	}
	return e.Restore(st)
}
