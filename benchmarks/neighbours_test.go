// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/hnslb/watch"
	"github.com/hnsproxy/hnsproxy/proxier"
	"k8s.io/utils/clock"
)

// TestSecondClient: while a cold start keeps HNS busy, the network plugin makes endpoints, and
// does not wait behind everything that the proxy has to do.
func TestSecondClient(t *testing.T) {
	const write, calls = 8 * time.Millisecond, 200
	const bar = 3 * write
	for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025()} {
		t.Run(profile.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(1000, 10)
				hns := newHNS(t, profile, emulator.WS2022Latency())
				n := start(t, hns, c, usual)
				n.run()
				defer n.stop()
				<-time.After(10 * time.Second)
				network, err := hns.Network(context.Background(), "pods")
				if err != nil {
					t.Fatal(err)
				}
				var took []time.Duration
				for i := range calls {
					<-time.After(50*time.Millisecond + time.Duration(i)*137*time.Microsecond) // any moment of a write
					begun := time.Now()
					ep := hnslb.Endpoint{Network: network.ID, Remote: true, IPs: []netip.Addr{netip.AddrFrom4([4]byte{12, 0, 0, byte(i)})}}
					if _, err := hns.CreateEndpoint(context.Background(), ep); err != nil {
						t.Fatal(err)
					}
					took = append(took, time.Since(begun))
				}
				if n.proxy.Idle() {
					t.Fatal("the cold start was over")
				}
				slices.Sort(took)
				t.Logf("CreateEndpoint of another client during a cold start: p50 %v, p99 %v, max %v, bar %v", p(took, 50), p(took, 99), p(took, 100), bar)
				if p(took, 100) > bar {
					t.Errorf("another client waited for up to %v, bar %v", p(took, 100), bar)
				}
			})
		})
	}
}

// loss is what HNS forgets while nothing else happens. It returns when HNS answers again.
type loss struct {
	name string
	lose func(hns *emulator.Emulator)
}

func losses() []loss {
	return []loss{
		{"restart at once", func(hns *emulator.Emulator) { hns.Restart(emulator.RestartOptions{LoseLoadBalancers: true}) }},
		{"restart", func(hns *emulator.Emulator) {
			hns.Stop()
			<-time.After(7 * time.Second)
			hns.Start(emulator.RestartOptions{LoseLoadBalancers: true})
		}},
		{"network replaced", func(hns *emulator.Emulator) { _, _ = hns.ReplaceNetwork("pods") }},
	}
}

// TestHealing: HNS comes back without what it held while the proxy is idle, and all is there
// again 5 s later, whether or not HNS tells of it.
func TestHealing(t *testing.T) {
	const bar = 5 * time.Second
	for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025(), silent()} {
		for _, l := range losses() {
			for name, with := range map[string]struct {
				services int
				latency  emulator.Latency
			}{"large": {1000, emulator.NoLatency()}, "slow": {50, emulator.WS2022Latency()}} {
				t.Run(fmt.Sprint(profile.Name, " ", l.name, " ", name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c := newCluster(with.services, 3)
						hns := newHNS(t, profile, with.latency)
						n := start(t, hns, c, usual, func(cfg *proxier.Config) { cfg.AuditPeriod = 24 * time.Hour })
						n.coldStart(c)
						defer n.stop()
						defer follow(hns, n.proxy)()
						<-time.After(10 * time.Second)
						before := hns.Dump()
						hns.ResetCounts()
						l.lose(hns)
						if hns.Dump() == before {
							t.Fatal("nothing was lost")
						}
						begun := time.Now()
						for hns.Dump() != before && time.Since(begun) < 2*bar {
							<-time.After(10 * time.Millisecond)
						}
						t.Logf("healed after %v, of which HNS wrote for %v; bar %v; %v", time.Since(begun), hns.WriteTime(), bar, hns.Counts())
						if took := time.Since(begun); took > bar {
							t.Errorf("healed after %v, bar %v", took, bar)
						}
					})
				})
			}
		}
	}
}

// silent is a release that tells of nothing: changes are noticed by asking.
func silent() profiles.Profile {
	p := profiles.WS2022()
	p.Name += "-silent"
	p.Quirks.NoNotifications, p.Quirks.StopUntold = true, true
	return p
}

// follow tells a proxy of changes of HNS, as the program does. The function returned ends it.
func follow(hns *emulator.Emulator, proxy *proxier.Proxier) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		var bare hnslb.Driver = hns
		if hns.Profile().Quirks.NoNotifications {
			// Nobody can be asked to tell; the process of the service is known.
			bare = struct {
				hnslb.Driver
				hnslb.ServiceQuerier
			}{hns, hns}
		}
		watch.Run(ctx, watch.Config{Bare: bare, Driver: hns, Network: "pods", Clock: clock.RealClock{}}, proxy.HNSChanged)
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// TestShareOfHNS: writes take the part of HNS's time that they may have, and no more.
func TestShareOfHNS(t *testing.T) {
	for _, share := range []float64{0.05, 0.25, 0.5, 1} {
		synctest.Test(t, func(t *testing.T) {
			hns := newHNS(t, profiles.WS2022(), emulator.WS2022Latency())
			n := start(t, hns, newCluster(1000, 10), usual, func(cfg *proxier.Config) { cfg.Share = share })
			n.run()
			defer n.stop()
			<-time.After(time.Second)
			before := hns.WriteTime()
			const d = 20 * time.Second
			<-time.After(d)
			busy := (hns.WriteTime() - before).Seconds() / d.Seconds()
			t.Logf("share %v: busy for %.3f of the time", share, busy)
			if n.proxy.Idle() {
				t.Error("the cold start was over")
			}
			if busy > share*1.02 || busy < share*0.8 {
				t.Errorf("busy for %.3f of the time, may be for %v", busy, share)
			}
		})
	}
}
