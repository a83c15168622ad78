// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package search

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
)

// synthetic is a system that sustains up to knee changes per second: above it the backlog grows by what is too much.
func synthetic(knee float64) func(context.Context, float64) (*result.Result, error) {
	return func(_ context.Context, rate float64) (*result.Result, error) {
		r := &result.Result{Version: result.Version, Totals: result.Totals{HNSRate: 100}}
		r.Totals.Latency.P99Millis = 20
		excess := max(0, rate-knee)
		for second := range 10 {
			r.Series = append(r.Series, result.Second{
				At: float64(second + 1), Offered: int(rate), Backlog: int(rate*0.02 + excess*float64(second+1)),
			})
		}
		if excess > 0 {
			r.Totals.Latency.P99Millis = 20 + 1000*10*excess/rate
			r.Totals.TailSeconds = 10 * excess / rate
		}
		r.Series = append(r.Series, result.Second{At: 11})
		return r, nil
	}
}

func config(start float64) Config {
	return Config{Start: start, Bound: 500, Precision: 0.05, Confirm: 2, MinRate: 0.1, MaxRate: 1e6}
}

func TestFind(t *testing.T) {
	for _, c := range []struct{ start, knee float64 }{{20, 83}, {20, 20}, {100, 7}, {1, 33333}, {50, 50}} {
		config := config(c.start)
		config.Try = synthetic(c.knee)
		told := 0
		config.Tell = func(result.Try) { told++ }
		r, err := Find(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		s := r.Search
		// A run that is over the knee by 5 % has a p99 of 500 ms.
		if s.Rate < c.knee*0.95 || s.Rate > c.knee*1.06 {
			t.Errorf("from %v: found %v, the knee is at %v", c.start, s.Rate, c.knee)
		}
		if math.Abs(s.Share-s.Rate/100) > 1e-9 {
			t.Errorf("share %v of rate %v, HNS allows 100", s.Share, s.Rate)
		}
		last := s.Tries[len(s.Tries)-2:]
		for _, try := range last {
			if !try.Confirms || !try.Sustained || try.Rate != s.Rate {
				t.Errorf("the last two tries are %+v, want confirmations of %v", last, s.Rate)
			}
		}
		if told != len(s.Tries) {
			t.Errorf("told of %d of %d tries", told, len(s.Tries))
		}
	}
}

// TestConfirm: a rate that was sustained by luck is not the result.
func TestConfirm(t *testing.T) {
	config := config(64)
	lucky := true
	config.Try = func(ctx context.Context, rate float64) (*result.Result, error) {
		if rate == 64 && lucky {
			lucky = false
			return synthetic(1000)(ctx, rate)
		}
		return synthetic(50)(ctx, rate)
	}
	r, err := Find(t.Context(), config)
	if err != nil || r.Search.Rate > 53 || r.Search.Rate < 45 {
		t.Errorf("found %+v, %v; want about 50", r.Search, err)
	}
}

func TestNothing(t *testing.T) {
	config := config(1)
	config.Try = synthetic(0.01)
	r, err := Find(t.Context(), config)
	if err != nil || r.Search.Rate != 0 || len(r.Search.Tries) == 0 {
		t.Errorf("found %+v, %v; want no rate", r.Search, err)
	}
	config.Try = synthetic(math.Inf(1))
	config.MaxRate = 100
	if r, err = Find(t.Context(), config); err != nil || r.Search.Rate != 64 {
		t.Errorf("found %+v, %v; want the highest rate tried, 64", r.Search, err)
	}
}

func TestEnd(t *testing.T) {
	config := config(10)
	broken := errors.New("the lab is broken")
	config.Try = func(context.Context, float64) (*result.Result, error) { return nil, broken }
	if _, err := Find(t.Context(), config); !errors.Is(err, broken) {
		t.Errorf("error %v, want that of the try", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	config.Try = func(ctx context.Context, rate float64) (*result.Result, error) {
		if rate > 30 {
			cancel()
		}
		return synthetic(1000)(ctx, rate)
	}
	r, err := Find(ctx, config)
	if err != nil || r.Search.Rate != 20 || !r.Run.Interrupted {
		t.Errorf("found %+v, %v; want 20, the last before the end", r.Search, err)
	}
}

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*result.Result)
		want   string
	}{
		"good":            {func(*result.Result) {}, ""},
		"slow":            {func(r *result.Result) { r.Totals.Latency.P99Millis = 501 }, "p99"},
		"lost":            {func(r *result.Result) { r.Totals.Violations.Missed = 1 }, "never came into force"},
		"ended":           {func(r *result.Result) { r.Run.Overloaded = true }, "until the run was ended"},
		"work left":       {func(r *result.Result) { r.Totals.TailSeconds = 0.6 }, "after the last change"},
		"growing backlog": {func(r *result.Result) { grow(r, 10) }, "backlog grows"},
		"a single hiccup": {func(r *result.Result) { r.Series[3].Backlog = 80 }, ""},
	} {
		r, _ := synthetic(1000)(t.Context(), 100)
		c.change(r)
		try := Judge(r, 100, 500)
		if try.Sustained != (c.want == "") || !strings.Contains(try.Reason, c.want) {
			t.Errorf("%s: %+v, want reason %q", name, try, c.want)
		}
	}
}

func grow(r *result.Result, by int) {
	for i := range r.Series {
		r.Series[i].Backlog += i * by
	}
}
