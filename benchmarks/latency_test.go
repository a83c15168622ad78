// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/proxier"
)

// TestLatency holds the time from a change to the load balancer that serves it: 1,000 Services of 10 endpoints, 10 changes a
// second for a minute, audits every 30 s, on the releases that replace a load balancer and that modify it. The clock is the
// bubble's, so the figures are those of the waiting and of HNS, and the same on every machine. `make compare` measures the same
// with a real clock and the whole program, where the bar is 500 ms.
func TestLatency(t *testing.T) {
	const bar = 50 * time.Millisecond
	for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025()} {
		t.Run(profile.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				latencies := churn(t, newHNS(t, profile, emulator.WS2022Latency()))
				p50, p99 := latencies[len(latencies)/2], latencies[len(latencies)*99/100]
				t.Logf("change to programmed: p50 %v, p99 %v, max %v, bar of p99 %v", p50, p99, latencies[len(latencies)-1], bar)
				if p99 > bar {
					t.Errorf("99 of 100 changes took up to %v, bar %v", p99, bar)
				}
			})
		})
	}
}

// churn replaces an endpoint of another Service every 100 ms and returns how long each change took, shortest first.
func churn(t *testing.T, hns *emulator.Emulator) []time.Duration {
	t.Helper()
	const changes, interval = 600, 100 * time.Millisecond
	c, watch := newCluster(1000, 10), &stopwatch{begun: map[string]time.Time{}}
	n := start(t, hns, c, func(cfg *proxier.Config) {
		cfg.AuditPeriod = 30 * time.Second
		cfg.Driver = watch.around(cfg.Driver)
	})
	n.coldStart(c)
	defer n.stop()
	n.settle()
	for i := range changes {
		watch.begin(c.service(i).Spec.ClusterIP)
		mustChange(t, true)(n.proxy.Store().SetSlice(nil, c.replace(i)))
		<-time.After(interval)
	}
	n.settle()
	if len(watch.took) != changes {
		t.Fatalf("%d of %d changes were programmed", len(watch.took), changes)
	}
	slices.Sort(watch.took)
	return watch.took
}

// stopwatch takes the time from begin of a VIP until its load balancer is written.
type stopwatch struct {
	mu    sync.Mutex
	begun map[string]time.Time
	took  []time.Duration
}

func (s *stopwatch) begin(vip string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun[vip] = time.Now()
}

func (s *stopwatch) end(lb hnslb.LoadBalancer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, _ := lb.Key()
	vip := key.VIP.String()
	if begun, ok := s.begun[vip]; ok {
		s.took = append(s.took, time.Since(begun))
		delete(s.begun, vip)
	}
}

// around takes the times of d.
func (s *stopwatch) around(d hnslb.Driver) hnslb.Driver {
	return hnslb.Intercept(d, func(ctx context.Context, c hnslb.Call, next hnslb.Next) (any, error) {
		if lb, ok := c.Argument.(hnslb.LoadBalancer); ok {
			defer s.end(lb)
		}
		return next(ctx)
	})
}
