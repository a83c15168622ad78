// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/scenario"
)

// execute runs the command line and returns what it prints to its output and its log.
func execute(ctx context.Context, arguments ...string) (out, log string, err error) {
	var o, l bytes.Buffer
	c := newCommand()
	c.SetArgs(arguments)
	c.SetOut(&o)
	c.SetErr(&l)
	err = c.ExecuteContext(ctx)
	return o.String(), l.String(), err
}

// quick is a run of a second.
func quick(more ...string) []string {
	return append([]string{"--services=50", "--endpoints=5", "--rate=100", "--duration=1s", "--latency=none"}, more...)
}

func want(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}

// TestRun runs two scenarios with a real clock, and compares their results.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	out, log, err := execute(t.Context(), append([]string{"run", "steady", "metadata", "--out", dir}, quick()...)...)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, log)
	}
	want(t, "report", out, "steady: 50 Services, 250 endpoints; 100 changes/s for 1 s", "100 in ", "400, needed 400", "violations  none")
	want(t, "progress", log, "filling HNS with 50 Services", "1 s  offered ")
	for _, name := range []string{"steady", "metadata"} {
		for _, file := range []string{result.FileName, result.LogFileName, result.SeriesFileName, result.PerfdashFileName} {
			if info, err := os.Stat(filepath.Join(dir, name, file)); err != nil || info.Size() == 0 {
				t.Errorf("%s of %s: %v", file, name, err)
			}
		}
	}
	r, err := result.Read(filepath.Join(dir, "steady"))
	if err != nil {
		t.Fatal(err)
	}
	var settings scenario.Scenario
	if err := json.Unmarshal(r.Run.Settings, &settings); err != nil || settings.Cluster.Services != 50 {
		t.Errorf("settings %+v, %v; want those of the flags", settings, err)
	}
	if r.Totals.Changes != 100 || r.Latency.Count() != 100 || r.Run.Machine.CPUs == 0 || r.Totals.Allocations == 0 {
		t.Errorf("result %+v, %+v", r.Run, r.Totals)
	}
	out, _, err = execute(t.Context(), "compare", filepath.Join(dir, "steady"), filepath.Join(dir, "metadata"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "comparison", out, "differs", "HNS writes", "0.00", "latency p99", "calls of CreateEndpoint")
}

func TestJSON(t *testing.T) {
	out, _, err := execute(t.Context(), append([]string{"run", "rolling", "-o", "json"}, quick()...)...)
	if err != nil {
		t.Fatal(err)
	}
	var r result.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Run.Kind != "rolling" {
		t.Errorf("JSON of a run: %v, %+v", err, r.Run)
	}
}

func TestSearch(t *testing.T) {
	out, _, err := execute(t.Context(), append([]string{"search", "steady", "--confirm=1", "--precision=1", "--p99=1ns"}, quick("--rate=0.15")...)...)
	if err == nil || !strings.Contains(err.Error(), "none of the rates") {
		t.Errorf("a bound of 1 ns: %v\n%s", err, out)
	}
	want(t, "table", out, "VERDICT", "0.15/s", "p99 is above")
}

// TestInterrupted: the end of the context, which is what Ctrl-C does, leaves a report.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	log := &cancelOn{text: "1 s  offered", cancel: cancel}
	var out bytes.Buffer
	c := newCommand()
	c.SetArgs(append([]string{"run", "steady"}, quick("--duration=10m")...))
	c.SetOut(&out)
	c.SetErr(log)
	begun := time.Now()
	if err := c.ExecuteContext(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("it ended after %s", took)
	}
	want(t, "report", out.String(), "interrupted", "latency")
}

// cancelOn cancels when it is written a text.
type cancelOn struct {
	text   string
	cancel func()
}

func (c *cancelOn) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.text) {
		c.cancel()
	}
	return len(p), nil
}

func TestRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"run":                                    "at least 1 arg",
		"run nothing":                            "hnsproxy-bench list",
		"run steady --rate=0":                    "churn.rate",
		"run steady -o xml":                      "--output",
		"run steady --source=apiserver":          "cannot be run",
		"run steady --proxy=kube-proxy.exe":      "source",
		"search steady --precision=0":            "--precision",
		"search steady burst":                    "accepts 1 arg",
		"compare no-result no-result":            "run --out",
		"run steady --profile=none-of-this-name": "hns.profile",
	} {
		if _, _, err := execute(t.Context(), strings.Fields(line)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

func TestList(t *testing.T) {
	out, _, err := execute(t.Context(), "list")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "list", out, "steady", "hns-restart", "1000 x 10")
}

// TestReport: a violation is told, and is an error.
func TestReport(t *testing.T) {
	r := &result.Result{Run: result.Run{Scenario: "steady"}}
	r.Totals.Violations = result.Violations{Stale: 2, OutOfOrder: 1}
	var out bytes.Buffer
	if err := writeRun(&out, r); err != nil {
		t.Fatal(err)
	}
	want(t, "report", out.String(), "2 frontends send to endpoints that were removed; 1 times an older state")
}

func TestMillis(t *testing.T) {
	for ms, want := range map[float64]string{0: "-", 0.25: "250 µs", 4.567: "4.57 ms", 123.4: "123 ms", 1500: "1.50 s"} {
		if got := millis(ms); got != want {
			t.Errorf("millis(%v) = %s, want %s", ms, got, want)
		}
	}
}
