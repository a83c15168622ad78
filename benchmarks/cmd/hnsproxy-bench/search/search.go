// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package search finds the highest rate of changes that a proxy sustains.
package search

import (
	"context"
	"fmt"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/result"
)

// Config says how to search.
type Config struct {
	// Start is the rate to begin with.
	Start float64
	// Bound is what p99 must not exceed, in milliseconds.
	Bound float64
	// Precision ends the search when the lowest rate that failed is not more than this share above the highest that did not.
	Precision float64
	// Confirm is how many more runs at the rate found must be sustained, too.
	Confirm int
	// MaxRate is the highest rate that is tried, MinRate the lowest.
	MinRate, MaxRate float64
	// Try runs the load once.
	Try func(ctx context.Context, rate float64) (*result.Result, error)
	// Tell hears of each try; nil for nobody.
	Tell func(result.Try)
}

// MaxBacklog is the backlog at which a run at that rate need not go on: four times of what waits when each change takes as long as
// it may, and some for bursts.
func MaxBacklog(rate, bound float64) int { return int(4*rate*bound/1000) + 200 }

type search struct {
	Config
	out result.Search
	// last is the result of the last run that was sustained.
	last *result.Result
}

// Find searches: it doubles the rate until one fails, or halves it until one does not, bisects between the two, and runs the rate
// found again, going down by the precision when that fails. When ctx ends it returns what is known so far.
func Find(ctx context.Context, c Config) (*result.Result, error) {
	s := &search{Config: c, out: result.Search{BoundMillis: c.Bound}}
	good, bad, err := s.bracket(ctx)
	if err == nil && good > 0 && bad > 0 {
		good, err = s.bisect(ctx, good, bad)
	}
	if err == nil && good > 0 {
		good, err = s.confirm(ctx, good)
	}
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	s.out.Rate = good
	r := s.last
	if r == nil {
		r = &result.Result{Version: result.Version}
	}
	r.Run.Interrupted = ctx.Err() != nil
	s.out.HNSRate = r.Totals.HNSRate
	if s.out.HNSRate > 0 {
		s.out.Share = s.out.Rate / s.out.HNSRate
	}
	r.Search = &s.out
	return r, nil
}

// bracket returns the highest rate that was sustained, 0 if none was, and the lowest that was not, 0 if each was.
func (s *search) bracket(ctx context.Context) (good, bad float64, err error) {
	for rate := s.Start; rate >= s.MinRate && rate <= s.MaxRate; {
		ok, err := s.try(ctx, rate, false)
		if err != nil {
			return good, bad, err
		}
		if ok {
			good = rate
		} else {
			bad = rate
		}
		if good > 0 && bad > 0 {
			break
		}
		if ok {
			rate *= 2
		} else {
			rate /= 2
		}
	}
	return good, bad, nil
}

func (s *search) bisect(ctx context.Context, good, bad float64) (float64, error) {
	for bad > good*(1+s.Precision) {
		middle := (good + bad) / 2
		ok, err := s.try(ctx, middle, false)
		if err != nil {
			return good, err
		}
		if ok {
			good = middle
		} else {
			bad = middle
		}
	}
	return good, nil
}

// confirm runs a rate again, and lower ones if it fails. It returns 0 when none can be confirmed.
func (s *search) confirm(ctx context.Context, rate float64) (float64, error) {
	for ; rate >= s.MinRate; rate /= 1 + s.Precision {
		confirmed := 0
		for confirmed < s.Confirm {
			ok, err := s.try(ctx, rate, true)
			if err != nil {
				return rate, err
			}
			if !ok {
				break
			}
			confirmed++
		}
		if confirmed == s.Confirm {
			return rate, nil
		}
	}
	return 0, nil
}

// try runs a rate and judges it. A run that its user ended is no verdict.
func (s *search) try(ctx context.Context, rate float64, confirms bool) (bool, error) {
	r, err := s.Try(ctx, rate)
	if err != nil {
		return false, err
	}
	if err := context.Cause(ctx); err != nil {
		return false, err
	}
	t := Judge(r, rate, s.Bound)
	t.Confirms = confirms
	s.out.Tries = append(s.out.Tries, t)
	if s.Tell != nil {
		s.Tell(t)
	}
	if t.Sustained || s.last == nil {
		s.last = r
	}
	return t.Sustained, nil
}

// Judge says whether a run shows that its rate can be sustained: nothing was lost, p99 is within the bound, and neither changes
// nor work for HNS pile up.
func Judge(r *result.Result, rate, bound float64) result.Try {
	t := result.Try{
		Rate: rate, P50Millis: r.Totals.Latency.P50Millis, P99Millis: r.Totals.Latency.P99Millis, MaxMillis: r.Totals.Latency.MaxMillis,
		Throughput: r.Totals.Throughput, HNSBusy: r.Totals.BusyShare,
	}
	offered := whileOffered(r)
	if len(offered) > 0 {
		t.Backlog = offered[len(offered)-1].Backlog
	}
	t.Growth = growth(offered[len(offered)/2:])
	// What waits when each change takes as long as it may. One more second of series can be off by a change.
	usual := rate*bound/1000 + 1
	switch err := r.Err(); {
	case r.Run.Overloaded:
		t.Reason = "the backlog grew until the run was ended"
	case err != nil:
		t.Reason = r.Totals.Violations.Err().Error()
	case t.P99Millis > bound:
		t.Reason = fmt.Sprintf("p99 is above %.0f ms", bound)
	case float64(t.Backlog) > usual && t.Growth > 0.02*rate:
		t.Reason = "the backlog grows"
	case r.Totals.TailSeconds > bound/1000:
		t.Reason = fmt.Sprintf("HNS was busy for %.1f s after the last change", r.Totals.TailSeconds)
	}
	t.Sustained = t.Reason == ""
	return t
}

// whileOffered returns the series without the tail.
func whileOffered(r *result.Result) []result.Second {
	end := len(r.Series)
	for end > 0 && r.Series[end-1].Offered == 0 {
		end--
	}
	return r.Series[:end]
}

// growth is the slope of the backlog in changes per second, by least squares.
func growth(series []result.Second) float64 {
	n := float64(len(series))
	var x, y, xx, xy float64
	for _, s := range series {
		b := float64(s.Backlog)
		x, y, xx, xy = x+s.At, y+b, xx+s.At*s.At, xy+s.At*b
	}
	if d := n*xx - x*x; d > 0 {
		return (n*xy - x*y) / d
	}
	return 0
}
