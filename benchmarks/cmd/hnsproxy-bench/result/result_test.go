// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package result

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/go-cmp/cmp"
)

func example() *Result {
	all := NewHistogram()
	r := &Result{
		Version: Version,
		Run:     Run{Scenario: "steady", Kind: "steady", Proxy: "inprocess", Profile: "ws2022", Date: time.Unix(1000, 0).UTC()},
		Totals:  Totals{Changes: 3, HNSWrites: 12},
	}
	for second, took := range []time.Duration{2 * time.Millisecond, 0, 30 * time.Millisecond} {
		s := Second{At: float64(second + 1), Offered: 1, HNSCalls: map[string]int{"CreateEndpoint": 1}}
		if took > 0 {
			s.Latency, s.Applied = NewHistogram(), 1
			s.Latency.Record(took)
			all.Merge(s.Latency)
		}
		r.Series = append(r.Series, s)
	}
	r.Latency, r.Totals.Latency = all, all.Summary()
	return r
}

func TestWriteAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	r := example()
	if err := r.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	same := cmp.Comparer(func(a, b *Histogram) bool { return a == b || a != nil && b != nil && a.h.Equals(b.h) })
	if diff := cmp.Diff(r, got, same); diff != "" {
		t.Errorf("read back (-written +read):\n%s", diff)
	}
	if longest := got.Latency.Millis(100); longest < 29.9 || longest > 30.1 {
		t.Errorf("the longest latency is %v ms, want 30", longest)
	}
}

// TestLog: HdrHistogram's own reader finds each second's histogram at its time.
func TestLog(t *testing.T) {
	var log bytes.Buffer
	if err := example().WriteLog(&log); err != nil {
		t.Fatal(err)
	}
	reader := hdrhistogram.NewHistogramLogReader(&log)
	for _, want := range []struct{ end, max int64 }{{1001000, 2000}, {1003000, 30000}} {
		h, err := reader.NextIntervalHistogram()
		if err != nil || h == nil {
			t.Fatalf("next histogram: %v, %v", h, err)
		}
		if !h.ValuesAreEquivalent(h.Max(), want.max) || h.EndTimeMs() != want.end {
			t.Errorf("a histogram up to %d µs that ends at %d, want %d at %d", h.Max(), h.EndTimeMs(), want.max, want.end)
		}
	}
}

func TestCSV(t *testing.T) {
	var out strings.Builder
	if err := example().WriteCSV(&out); err != nil {
		t.Fatal(err)
	}
	want := "at_seconds,offered,applied,backlog,p50_ms,p99_ms,max_ms,hns_busy,heap_bytes,calls_CreateEndpoint\n1,1,1,0,0,0,0,0,0,1\n"
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("CSV begins with\n%s\nwant\n%s", out.String(), want)
	}
}

func TestPerfdash(t *testing.T) {
	var out bytes.Buffer
	if err := example().WritePerfdash(&out); err != nil {
		t.Fatal(err)
	}
	var got perfdash
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != "v1" || got.DataItems[0].Unit != "ms" || got.DataItems[0].Data["Perc99"] < 29 {
		t.Errorf("perfdash gets %+v", got)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"other version": {`{"version": 99}`, "version 99"},
		"no JSON":       {"x", "is no result"},
		"bad histogram": {`{"version": 1, "latency": "x"}`, "decode histogram"},
	} {
		path := filepath.Join(t.TempDir(), FileName)
		if err := os.WriteFile(path, []byte(c.body), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "run --out") {
		t.Errorf("no file: %v", err)
	}
}

func TestErr(t *testing.T) {
	r := example()
	if err := r.Err(); err != nil {
		t.Errorf("a good run: %v", err)
	}
	r.Totals.Violations = Violations{Missed: 2, NeedlessWrites: 1}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "2 changes never") || !strings.Contains(err.Error(), "1 HNS writes") {
		t.Errorf("a bad run: %v", err)
	}
	r.Run.Interrupted = true
	if err := r.Err(); err != nil {
		t.Errorf("an interrupted run: %v", err)
	}
}
