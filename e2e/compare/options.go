// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// options are the command line.
type options struct {
	programs  []string
	sizes     []int
	latencies []string
	// load and heal are the parts: Services under load, and a node in trouble.
	load, heal bool
	endpoints  int
	profile    profiles.Profile
	rate       float64
	duration   time.Duration
	// patience is how long one phase may take, leave how long deleted Services may.
	patience, leave time.Duration
	format          string
	date, out       string
	logs            string
}

// Names of programs and latencies on the command line.
const (
	both      = "both"
	idle      = "idle"
	ws2022    = "ws2022"
	underLoad = "load"
	inTrouble = "heal"
	asTable   = "text"
	asJSON    = "json"
)

// maxChanges bounds a run, and with it the addresses that it uses up.
const maxChanges = 100_000

func parse(args []string, usage io.Writer) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(usage)
	name := flags.String("program", both, "`which` to run: kube-proxy, hnsproxy, or both")
	parts := flags.String("parts", underLoad+","+inTrouble, "`parts` of the comparison: load, with all numbers of Services and kinds of HNS, and heal, with a node that meets troubles")
	sizes := flags.String("services", "100,1000", "`numbers` of Services")
	latencies := flags.String("latency", idle+","+ws2022, "`kinds` of HNS: idle answers at once, ws2022 takes 8 ms per write, one at a time, and 0.1 ms per read")
	profile := flags.String("profile", "ws2022", "Windows `release`")
	flags.IntVar(&o.endpoints, "endpoints", 10, "`number` of endpoints of each Service")
	flags.Float64Var(&o.rate, "rate", 10, "`changes` per second")
	flags.DurationVar(&o.duration, "duration", time.Minute, "`time` for which changes are made")
	flags.DurationVar(&o.patience, "patience", 10*time.Minute, "longest `time` for a phase; what has not happened by then counts as missing")
	flags.DurationVar(&o.leave, "leave", 5*time.Minute, "longest `time` for HNS to become empty when all Services are gone")
	flags.StringVar(&o.format, "o", asTable, "`format` of the output: text or json")
	flags.StringVar(&o.date, "date", "", "`day` of the measurement; with --out the name of the files")
	flags.StringVar(&o.out, "out", "", "`directory` to store the result in, as text and as JSON")
	flags.StringVar(&o.logs, "logs", "", "`directory` to keep the programs' logs in")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", strings.Join(flags.Args(), " "))
	}
	err := errOr(o.choose(*name, *sizes, *latencies), o.chooseParts(*parts))
	if err != nil {
		return o, err
	}
	o.profile, err = profiles.ByName(*profile)
	return o, errOr(err, o.validate())
}

func errOr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// choose reads the flags that are lists.
func (o *options) choose(name, sizes, latencies string) error {
	o.programs = []string{name}
	if name == both {
		o.programs = []string{"kube-proxy", "hnsproxy"}
	} else if name != "kube-proxy" && name != "hnsproxy" {
		return fmt.Errorf("--program=%s: want kube-proxy, hnsproxy or both", name)
	}
	for text := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 10_000 {
			return fmt.Errorf("--services=%s: want numbers from 1 to 10000", sizes)
		}
		o.sizes = append(o.sizes, n)
	}
	o.latencies = strings.Split(latencies, ",")
	for _, l := range o.latencies {
		if l != idle && l != ws2022 {
			return fmt.Errorf("--latency=%s: want %s, %s or both", latencies, idle, ws2022)
		}
	}
	return nil
}

func (o *options) chooseParts(names string) error {
	for name := range strings.SplitSeq(names, ",") {
		switch name {
		case underLoad:
			o.load = true
		case inTrouble:
			o.heal = true
		default:
			return fmt.Errorf("--parts=%s: want %s, %s or both", names, underLoad, inTrouble)
		}
	}
	return nil
}

func (o *options) validate() error {
	switch {
	case o.endpoints < 1 || o.endpoints > 100:
		return fmt.Errorf("--endpoints=%d: want 1 to 100, what one slice holds", o.endpoints)
	case o.rate <= 0 || o.rate > 1000:
		return fmt.Errorf("--rate=%g: want more than 0 and at most 1000", o.rate)
	case o.duration <= 0 || o.changes() < 1 || o.changes() > maxChanges:
		return fmt.Errorf("--duration=%s: want 1 to %d changes", o.duration, maxChanges)
	case o.patience <= 0 || o.leave <= 0:
		return fmt.Errorf("--patience=%s and --leave=%s: want more than 0", o.patience, o.leave)
	case !slices.Contains([]string{asTable, asJSON}, o.format):
		return fmt.Errorf("-o=%s: want %s or %s", o.format, asTable, asJSON)
	case o.out != "" && o.date == "":
		return fmt.Errorf("--out=%s needs --date, which names the files", o.out)
	case strings.ContainsAny(o.date, `/\`):
		return fmt.Errorf("--date=%s becomes part of a file name", o.date)
	}
	return nil
}

// changes is how many changes a run makes.
func (o *options) changes() int { return int(o.rate * o.duration.Seconds()) }

func latency(name string) emulator.Latency {
	if name == ws2022 {
		return emulator.WS2022Latency()
	}
	return emulator.NoLatency()
}
