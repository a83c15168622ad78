// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package result

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of a Histogram: from a microsecond to an hour with three significant digits. What takes longer counts as an hour.
const (
	lowest  = 1
	highest = int64(time.Hour / time.Microsecond)
	digits  = 3
)

// Histogram counts latencies in microseconds. In JSON it is HdrHistogram's own encoding: V2, compressed, base64.
type Histogram struct{ h *hdrhistogram.Histogram }

// NewHistogram returns an empty Histogram.
func NewHistogram() *Histogram {
	return &Histogram{hdrhistogram.New(lowest, highest, digits)}
}

// Record counts a latency.
func (h *Histogram) Record(d time.Duration) {
	// A value within the range is never refused.
	_ = h.h.RecordValue(min(max(d.Microseconds(), lowest), highest))
}

// Merge adds what another one counted. Nil adds nothing.
func (h *Histogram) Merge(other *Histogram) {
	if other != nil {
		h.h.Merge(other.h)
	}
}

// Count returns how many latencies were counted.
func (h *Histogram) Count() int {
	if h == nil {
		return 0
	}
	return int(h.h.TotalCount())
}

// Millis returns a percentile (0 to 100) in milliseconds, 0 when nothing was counted.
func (h *Histogram) Millis(percentile float64) float64 {
	if h.Count() == 0 {
		return 0
	}
	return float64(h.h.ValueAtPercentile(percentile)) / 1000
}

// HDR returns the histogram for what needs more than this type offers, such as a plot of the distribution. Its values are
// microseconds.
func (h *Histogram) HDR() *hdrhistogram.Histogram { return h.h }

// Reset forgets everything.
func (h *Histogram) Reset() { h.h.Reset() }

// Clone returns a copy.
func (h *Histogram) Clone() *Histogram {
	c := NewHistogram()
	c.Merge(h)
	return c
}

// Summary returns what tables show.
func (h *Histogram) Summary() Summary {
	if h.Count() == 0 {
		return Summary{}
	}
	return Summary{
		Count: h.Count(), MeanMillis: h.h.Mean() / 1000, MinMillis: float64(h.h.Min()) / 1000, MaxMillis: float64(h.h.Max()) / 1000,
		P50Millis: h.Millis(50), P90Millis: h.Millis(90), P99Millis: h.Millis(99), P999Millis: h.Millis(99.9),
	}
}

// Summary sums up a Histogram.
type Summary struct {
	Count      int     `json:"count"`
	MinMillis  float64 `json:"minMillis"`
	MeanMillis float64 `json:"meanMillis"`
	P50Millis  float64 `json:"p50Millis"`
	P90Millis  float64 `json:"p90Millis"`
	P99Millis  float64 `json:"p99Millis"`
	P999Millis float64 `json:"p999Millis"`
	MaxMillis  float64 `json:"maxMillis"`
}

// MarshalJSON is part of json.Marshaler.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	text, err := h.h.EncodeV2()
	if err != nil {
		return nil, fmt.Errorf("encode histogram: %w", err)
	}
	return json.Marshal(string(text))
}

// UnmarshalJSON is part of json.Unmarshaler.
func (h *Histogram) UnmarshalJSON(body []byte) error {
	var text string
	if err := json.Unmarshal(body, &text); err != nil {
		return err
	}
	decoded, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return fmt.Errorf("decode histogram: %w", err)
	}
	// Merged into one of ours, so that it counts on in the same range.
	*h = *NewHistogram()
	if dropped := h.h.Merge(decoded); dropped > 0 {
		return fmt.Errorf("decode histogram: %d values are outside of 1 µs to 1 h", dropped)
	}
	return nil
}
