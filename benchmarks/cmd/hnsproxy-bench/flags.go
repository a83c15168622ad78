// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/inprocess"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/measure"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/scenario"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
)

// overrides are flags that outrank the fields of a scenario.
type overrides struct {
	flags *pflag.FlagSet
	from  scenario.Scenario
	// duration is a plain one, which pflag can parse.
	duration time.Duration
}

func addOverrides(flags *pflag.FlagSet) *overrides {
	o := &overrides{flags: flags}
	file := " (default: that of the scenario)"
	flags.IntVar(&o.from.Cluster.Services, "services", 0, "`number` of Services"+file)
	flags.IntVar(&o.from.Cluster.Endpoints, "endpoints", 0, "`number` of endpoints of each Service"+file)
	flags.Float64Var(&o.from.Churn.Rate, "rate", 0, "`changes` per second; a search begins with it"+file)
	flags.DurationVar(&o.duration, "duration", 0, "for how `long` changes are made"+file)
	flags.Uint64Var(&o.from.Seed, "seed", 0, "`seed` of what looks random"+file)
	flags.StringVar(&o.from.HNS.Profile, "profile", "", "Windows `release` that is emulated, or a file that hnsproxy probe wrote"+file)
	flags.StringVar(&o.from.HNS.Latency, "latency", "", "latency of HNS, one of "+strings.Join(options.Latencies(), ", ")+file)
	flags.StringVar(&o.from.HNS.Network, "network", "", "`type` of the HNS network"+file)
	flags.StringVar(&o.from.Source, "source", "", "`where` objects come from: inprocess or apiserver"+file)
	flags.StringVar(&o.from.Proxy, "proxy", "", "`proxy` that is measured: inprocess, hnsproxy.exe or kube-proxy.exe"+file)
	return o
}

// read reads a scenario and lets the flags outrank it.
func (o *overrides) read(argument string) (scenario.Scenario, error) {
	s, err := scenario.Read(argument)
	if err != nil {
		return s, err
	}
	for name, set := range map[string]func(){
		"services":  func() { s.Cluster.Services = o.from.Cluster.Services },
		"endpoints": func() { s.Cluster.Endpoints = o.from.Cluster.Endpoints },
		"rate":      func() { s.Churn.Rate = o.from.Churn.Rate },
		"duration":  func() { s.Duration.Duration = o.duration },
		"seed":      func() { s.Seed = o.from.Seed },
		"profile":   func() { s.HNS.Profile = o.from.HNS.Profile },
		"latency":   func() { s.HNS.Latency = o.from.HNS.Latency },
		"network":   func() { s.HNS.Network = o.from.HNS.Network },
		"source":    func() { s.Source = o.from.Source },
		"proxy":     func() { s.Proxy = o.from.Proxy },
	} {
		if o.flags.Changed(name) {
			set()
		}
	}
	return s, s.Validate()
}

// output is how results are shown and kept.
type output struct {
	format, dir string
}

func addOutput(flags *pflag.FlagSet) *output {
	o := &output{}
	flags.StringVarP(&o.format, "output", "o", "text", "`format`: text or json")
	flags.StringVar(&o.dir, "out", "", "`directory` for "+strings.Join([]string{
		result.FileName, result.LogFileName, result.SeriesFileName, result.PerfdashFileName,
	}, ", "))
	return o
}

func (o *output) validate() error {
	if o.format != "text" && o.format != "json" {
		return fmt.Errorf("--output is %q: it must be text or json", o.format)
	}
	return nil
}

// bench runs a scenario as often as wanted.
type bench interface {
	Run(ctx context.Context, o measure.Options) (*result.Result, error)
}

// open prepares what a scenario asks for.
func open(ctx context.Context, s scenario.Scenario) (bench, error) {
	if s.Proxy != scenario.InProcess || s.Source != scenario.InProcess {
		return nil, fmt.Errorf("scenario %s: proxy %s with source %s cannot be run by this program: set both to %s", s.Name, s.Proxy, s.Source, scenario.InProcess)
	}
	return inprocess.Prepare(ctx, s)
}
