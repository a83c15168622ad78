// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/proxier"
)

// TestLocalPods: 100 pods start on this node within a second. The network plugin makes each
// endpoint just before the slice says so, and HNS is not listed once for each.
func TestLocalPods(t *testing.T) {
	const pods, interval = 100, time.Second / 100
	const listsBar, bar = 10, time.Second
	for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025()} {
		t.Run(profile.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := newServed(), newCluster(1000, 10)
				hns := newHNS(t, profile, emulator.WS2022Latency(), s.heard)
				n := start(t, hns, c, usual, func(cfg *proxier.Config) { cfg.AuditPeriod = 24 * time.Hour })
				n.coldStart(c)
				defer n.stop()
				n.settle()
				hns.ResetCounts()
				for i := range pods {
					ip := netip.AddrFrom4([4]byte{10, 244, 1, byte(10 + i)})
					if _, err := hns.AddLocalEndpoint("pods", ip); err != nil {
						t.Fatal(err)
					}
					slice := c.slice(i)
					slice.Endpoints[0].Addresses[0], slice.Endpoints[0].NodeName = ip.String(), new("this")
					s.change(t, n, c, i, slice)
					<-time.After(interval)
				}
				lists := called(hns)
				<-time.After(10 * time.Second)
				took := s.took(t, pods, nil)
				t.Logf("%d pods in a second: %d lists of endpoints, bar %d, and %d of load balancers, bar 0; served after p50 %v, p99 %v, max %v, bar of p99 %v",
					pods, lists[hnslb.VerbEndpoints], listsBar, lists[hnslb.VerbLoadBalancers], p(took, 50), p(took, 99), p(took, 100), bar)
				if lists[hnslb.VerbEndpoints] > listsBar || lists[hnslb.VerbLoadBalancers] > 0 {
					t.Errorf("HNS was listed too often: %v", lists)
				}
				if p(took, 99) > bar {
					t.Errorf("pods were served after up to %v, bar %v", p(took, 99), bar)
				}
			})
		})
	}
}

// TestSlowLists: lists take 5 s each, and audits go on every 30 s. What changes meanwhile does
// not wait for them.
func TestSlowLists(t *testing.T) {
	const changes, interval = 1200, 100 * time.Millisecond
	const bar = 100*time.Millisecond + 3*8*time.Millisecond
	for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025()} {
		for name, early := range map[string]bool{"shows the end": false, "shows the start": true} {
			t.Run(profile.Name+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, c := newServed(), newCluster(500, 5)
					hns := newHNS(t, profile, emulator.WS2022Latency(), s.heard)
					n := start(t, hns, c, usual)
					n.coldStart(c)
					defer n.stop()
					n.settle()
					hns.ResetCounts()
					hns.SetFaults(profiles.Faults{ListsTake: 5 * time.Second, ListsShowStart: early})
					for i := range changes {
						s.change(t, n, c, i%c.services, c.replace(i%c.services))
						<-time.After(interval)
					}
					<-time.After(time.Minute)
					took := s.took(t, changes, nil)
					t.Logf("change to served: p50 %v, p99 %v, max %v, bar of p99 %v; %d lists", p(took, 50), p(took, 99), p(took, 100), bar, hns.Counts()[hnslb.VerbEndpoints])
					if p(took, 99) > bar {
						t.Errorf("p99 %v, bar %v", p(took, 99), bar)
					}
					wantFresh(t, hns, c)
				})
			})
		}
	}
}
