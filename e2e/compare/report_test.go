// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/e2e/bulk"
	"github.com/hnsproxy/hnsproxy/hnslb"
)

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		args string
		// want is a part of the error, empty for none.
		want string
	}{
		"defaults":           {"", ""},
		"all flags":          {"--program=hnsproxy --services=5,50 --latency=idle --profile=ws2025 --endpoints=3 --rate=20 --duration=10s -o=json --date=d --out=.", ""},
		"unknown program":    {"--program=iptables", "--program=iptables"},
		"no number":          {"--services=many", "--services=many"},
		"no Services":        {"--services=0", "--services=0"},
		"too many Services":  {"--services=10001", "--services=10001"},
		"unknown latency":    {"--latency=slow", "--latency=slow"},
		"unknown profile":    {"--profile=ws2003", "ws2003"},
		"too many endpoints": {"--endpoints=101", "--endpoints=101"},
		"no rate":            {"--rate=0", "--rate=0"},
		"no change":          {"--rate=1 --duration=100ms", "--duration=100ms"},
		"too many changes":   {"--rate=1000 --duration=1h", "--duration=1h"},
		"unknown format":     {"-o=xml", "-o=xml"},
		"out without date":   {"--out=results", "--date"},
		"date is a path":     {"--date=../x --out=results", "--date=../x"},
		"one part":           {"--parts=heal", ""},
		"unknown part":       {"--parts=load,rest", "--parts=load,rest"},
		"stray argument":     {"go", `"go"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(strings.Fields(c.args), io.Discard)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want one about %s", err, c.want)
			}
		})
	}
}

func TestPercentiles(t *testing.T) {
	start := time.Now()
	arrived := func(milliseconds int) bulk.Change {
		return bulk.Change{Sent: start, Seen: start.Add(time.Duration(milliseconds) * time.Millisecond)}
	}
	var hundred []bulk.Change
	for i := 100; i > 0; i-- {
		hundred = append(hundred, arrived(i))
	}
	for name, c := range map[string]struct {
		changes []bulk.Change
		want    Percentiles
		unseen  int
	}{
		"none":          {},
		"one":           {[]bulk.Change{arrived(7)}, Percentiles{7, 7, 7, 7}, 0},
		"a hundred":     {hundred, Percentiles{50, 90, 99, 100}, 0},
		"some are lost": {append(hundred[98:], bulk.Change{Sent: start}), Percentiles{1, 2, 2, 2}, 1},
	} {
		got, unseen := percentiles(c.changes)
		if got != c.want || unseen != c.unseen {
			t.Errorf("%s: %+v and %d unseen, want %+v and %d", name, got, unseen, c.want, c.unseen)
		}
	}
}

// TestStore writes a report and reads it back; the table has a column for each result.
func TestStore(t *testing.T) {
	report := Report{
		Date:        "2026-01-31",
		Environment: Environment{CPUs: 2, Programs: map[string]string{"hnsproxy": "v1"}, Endpoints: 10, Rate: 10, ChangesFor: 60},
		Results: []Result{
			{Program: "kube-proxy", Services: 100, Latency: ws2022, Churn: Churn{Changes: 4, Calls: Calls{
				Total: 10, Functions: map[string]int{"HcnOpenEndpoint": 2}, Verbs: map[hnslb.Verb]int{hnslb.VerbCreateEndpoint: 4},
			}}},
			{Program: "hnsproxy", Services: 100, Latency: ws2022, Cold: Cold{Complete: 12.34}},
			{Program: "hnsproxy", Services: 7, Latency: idle},
		},
		Healings: []Healing{
			{Program: "kube-proxy", Trouble: "rain", Dark: Dark{Worst: 12_000}, Writes: 3, Ended: 2},
			{Program: "hnsproxy", Trouble: "rain", Healed: true, After: 1.25},
			{Program: "hnsproxy", Trouble: "snow", Healed: true},
		},
	}
	dir := filepath.Join(t.TempDir(), "results")
	if err := store(report, dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "compare-2026-01-31.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(report, back); diff != "" {
		t.Errorf("the JSON says (-want +got):\n%s", diff)
	}
	if text, err = os.ReadFile(filepath.Join(dir, "compare-2026-01-31.txt")); err != nil {
		t.Fatal(err)
	}
	table := strings.Join(strings.Fields(string(text)), " ")
	for _, want := range []string{
		"100 SERVICES x 10 ENDPOINTS kube-proxy hnsproxy HNS ws2022 ws2022", "7 SERVICES x 10 ENDPOINTS hnsproxy HNS idle",
		"IN TROUBLE, 20 SERVICES x 10 ENDPOINTS kube-proxy hnsproxy",
		"rain not healed in 70 s; dark 12.0 s; 3 writes; ended 2 times healed after 1.2 s; dark 0 ms; 0 writes", "snow healed after 0 ms;",
		"complete not in time 12.3 s", "HNS calls per change 2.50 0.00", "HcnOpenEndpoint 0.500 0.000", "CreateEndpoint 1.000 0.000",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, text)
		}
	}
}
