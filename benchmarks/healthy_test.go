// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/health"
)

// TestHealthyWhileBehind: 300 Services change faster than HNS can be written, so that there is
// always something to do. The proxy is healthy as long as nothing waits for too long, and it
// is not once HNS takes no more calls.
func TestHealthyWhileBehind(t *testing.T) {
	const perSecond, minutes = 45, 3
	const period = 30 * time.Second
	for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025()} {
		t.Run(profile.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := newServed(), newCluster(300, 5)
				hns := newHNS(t, profile, emulator.WS2022Latency(), s.heard)
				h := health.New(health.Config{SyncPeriod: period})
				n := start(t, hns, c, usual, func(cfg *proxier.Config) { cfg.Health = h })
				n.coldStart(c)
				defer n.stop()
				n.settle()
				changes, idle := 0, 0
				churn := func(d time.Duration, each func(time.Duration)) {
					for begun := time.Now(); time.Since(begun) < d; changes++ {
						i := changes % c.services
						s.change(t, n, c, i, c.replace(i))
						<-time.After(time.Second / perSecond)
						each(time.Since(begun))
					}
				}
				churn(minutes*time.Minute, func(after time.Duration) {
					if n.proxy.Idle() {
						idle++
					}
					if !h.Healthy() {
						t.Fatalf("unhealthy after %v of changes", after)
					}
				})
				<-time.After(time.Minute)
				took := s.took(t, changes, nil)
				t.Logf("%d changes; idle after %d of them; served after p50 %v, p99 %v, max %v", changes, idle, p(took, 50), p(took, 99), p(took, 100))
				if idle > changes/100 {
					t.Errorf("the proxy had nothing to do %d times", idle)
				}

				for _, v := range []hnslb.Verb{hnslb.VerbCreateEndpoint, hnslb.VerbDeleteEndpoint, hnslb.VerbCreateLoadBalancer,
					hnslb.VerbUpdateLoadBalancer, hnslb.VerbDeleteLoadBalancer} {
					hns.Hang(v, -1)
				}
				// What gets a place before all are taken up hangs, which is another matter.
				const placed = 5 * time.Second
				churn(90*time.Second, func(after time.Duration) {
					if late := after > 2*period+placed; h.Healthy() == late && (late || after < 2*period) {
						t.Fatalf("healthy %v, %v after HNS took its last call", h.Healthy(), after)
					}
				})
				hns.ReleaseHung()
				<-time.After(2 * time.Minute)
				if !h.Healthy() {
					t.Error("unhealthy after HNS took calls again")
				}
			})
		})
	}
}
