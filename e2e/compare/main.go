// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// command compares, writes the report to out and to the files that the options name, and progress to notes.
func command(ctx context.Context, args []string, out, notes io.Writer) error {
	o, err := parse(args, notes)
	if err != nil {
		return err
	}
	report, err := compare(ctx, o, notes)
	if err != nil {
		return err
	}
	if o.out != "" {
		if err := store(report, o.out); err != nil {
			return err
		}
	}
	if o.format == asJSON {
		return report.writeJSON(out)
	}
	return report.writeText(out)
}

// compare runs everything that the options ask for.
func compare(ctx context.Context, o options, notes io.Writer) (Report, error) {
	report := Report{Date: o.date}
	dir, err := os.MkdirTemp("", "hnsproxy-compare-")
	if err != nil {
		return report, fmt.Errorf("make a directory for the control plane: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the directory for leftovers
	l, err := newLab(ctx, o, dir)
	if err != nil {
		return report, err
	}
	defer l.close()
	if report.Environment, err = l.environment(ctx, o); err != nil {
		return report, err
	}
	say := newProgress(notes)
	if o.load {
		if report.Results, err = l.loadAll(ctx, o, say); err != nil {
			return report, err
		}
	}
	if !o.heal {
		return report, nil
	}
	for _, name := range o.programs {
		healings, err := l.healAll(ctx, o, name, say)
		if err != nil {
			return report, err
		}
		report.Healings = append(report.Healings, healings...)
	}
	return report, nil
}

// loadAll puts each program through each load.
func (l *lab) loadAll(ctx context.Context, o options, say *progress) (all []Result, err error) {
	for _, size := range o.sizes {
		for _, latency := range o.latencies {
			for _, name := range o.programs {
				result, err := l.runOne(ctx, o, Result{Program: name, Services: size, Latency: latency}, say)
				if err != nil {
					return all, err
				}
				all = append(all, result)
			}
		}
	}
	return all, nil
}

// store writes the report as compare-DATE.txt and compare-DATE.json.
func store(r Report, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("store the report: %w", err)
	}
	for suffix, write := range map[string]func(io.Writer) error{".txt": r.writeText, ".json": r.writeJSON} {
		path := filepath.Join(dir, "compare-"+r.Date+suffix)
		f, err := os.Create(path)
		if err != nil {
			return fmt.Errorf("store the report: %w", err)
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return fmt.Errorf("store the report in %s: %w", path, err)
		}
	}
	return nil
}

func (r Report) writeJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
