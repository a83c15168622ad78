// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package result

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Files that WriteDir writes beside FileName.
const (
	// LogFileName is a histogram log as HdrHistogram's tools read it: one histogram for each second, in microseconds.
	LogFileName = "latency.hlog"
	// SeriesFileName is the series as CSV.
	SeriesFileName = "series.csv"
	// PerfdashFileName is what 'perfdash --mode=local' reads.
	PerfdashFileName = "perfdash.json"
)

// WriteDir writes a result and what other tools read of it into a directory, which it makes.
func (r *Result) WriteDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, write := range map[string]func(io.Writer) error{
		FileName: r.WriteJSON, LogFileName: r.WriteLog, SeriesFileName: r.WriteCSV, PerfdashFileName: r.WritePerfdash,
	} {
		if err := writeFile(filepath.Join(dir, name), write); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = write(w)
	if flushed := w.Flush(); err == nil {
		err = flushed
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// WriteJSON writes the result as Read reads it.
func (r *Result) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteLog writes the latencies of each second as a histogram log.
func (r *Result) WriteLog(w io.Writer) error {
	start := r.Run.Date.UnixMilli()
	log := hdrhistogram.NewHistogramLogWriter(w)
	for _, write := range []func() error{
		log.OutputLogFormatVersion,
		func() error {
			return log.OutputComment("[latencies in microseconds of scenario " + r.Run.Scenario + "]")
		},
		func() error { return log.OutputStartTime(start) },
		func() error { return log.OutputBaseTime(start) },
		log.OutputLegend,
	} {
		if err := write(); err != nil {
			return err
		}
	}
	log.SetBaseTime(start)
	options := hdrhistogram.DefaultHistogramLogOptions()
	before := start
	for _, s := range r.Series {
		end := start + int64(s.At*1000)
		if s.Latency != nil {
			h := s.Latency.Clone().HDR()
			h.SetStartTimeMs(before)
			h.SetEndTimeMs(end)
			if err := log.OutputIntervalHistogramWithLogOptions(h, options); err != nil {
				return err
			}
		}
		before = end
	}
	return nil
}

// verbs returns the verbs that were called in a run, in order.
func (r *Result) verbs() []string {
	all := map[string]bool{}
	for _, s := range r.Series {
		for v := range s.HNSCalls {
			all[v] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// WriteCSV writes the series.
func (r *Result) WriteCSV(w io.Writer) error {
	verbs := r.verbs()
	out := csv.NewWriter(w)
	head := []string{"at_seconds", "offered", "applied", "backlog", "p50_ms", "p99_ms", "max_ms", "hns_busy", "heap_bytes"}
	for _, v := range verbs {
		head = append(head, "calls_"+v)
	}
	// Errors of a csv.Writer stay until Error is asked.
	_ = out.Write(head)
	for _, s := range r.Series {
		row := []string{
			decimal(s.At), strconv.Itoa(s.Offered), strconv.Itoa(s.Applied), strconv.Itoa(s.Backlog),
			decimal(s.P50Millis), decimal(s.P99Millis), decimal(s.MaxMillis), decimal(s.HNSBusy), strconv.FormatUint(s.HeapBytes, 10),
		}
		for _, v := range verbs {
			row = append(row, strconv.Itoa(s.HNSCalls[v]))
		}
		_ = out.Write(row)
	}
	out.Flush()
	return out.Error()
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// perfdash is the format of Kubernetes' performance dashboard.
type perfdash struct {
	Version   string         `json:"version"`
	DataItems []perfdashItem `json:"dataItems"`
}

type perfdashItem struct {
	Data   map[string]float64 `json:"data"`
	Unit   string             `json:"unit"`
	Labels map[string]string  `json:"labels,omitempty"`
}

// WritePerfdash writes what Kubernetes' performance dashboard shows.
func (r *Result) WritePerfdash(w io.Writer) error {
	labels := func(metric string) map[string]string {
		return map[string]string{"Metric": metric, "Scenario": r.Run.Scenario, "Proxy": r.Run.Proxy, "Profile": r.Run.Profile}
	}
	l := r.Totals.Latency
	p := perfdash{Version: "v1", DataItems: []perfdashItem{
		{map[string]float64{"Perc50": l.P50Millis, "Perc90": l.P90Millis, "Perc99": l.P99Millis}, "ms", labels("change_to_programmed")},
		{map[string]float64{"Throughput": r.Totals.Throughput}, "changes/s", labels("throughput")},
		{map[string]float64{"Writes": float64(r.Totals.HNSWrites)}, "calls", labels("hns_writes")},
	}}
	if r.Search != nil {
		p.DataItems = append(p.DataItems, perfdashItem{map[string]float64{"Rate": r.Search.Rate}, "changes/s", labels("highest_sustained_rate")})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(p)
}
