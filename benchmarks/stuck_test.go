// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/proxier"
)

// stuck is an object whose writes hang.
type stuck struct {
	name string
	// object names it, for Service 0 of a cluster.
	object func(hns *emulator.Emulator, c *cluster) string
}

func stuckObjects() []stuck {
	return []stuck{
		{"frontend", func(_ *emulator.Emulator, c *cluster) string { return c.service(0).Spec.ClusterIP + ":80/TCP" }},
		{"load balancer", func(hns *emulator.Emulator, c *cluster) string {
			for _, lb := range hns.State().LoadBalancers {
				if lb.ObjectName() == c.service(0).Spec.ClusterIP+":80/TCP" {
					return string(lb.ID)
				}
			}
			return ""
		}},
		{"new endpoint", func(_ *emulator.Emulator, c *cluster) string {
			c.generation[0]++
			defer func() { c.generation[0]-- }()
			return c.slice(0).Endpoints[0].Addresses[0]
		}},
		{"old endpoint", func(hns *emulator.Emulator, c *cluster) string {
			for _, ep := range hns.State().Endpoints {
				if ep.IPs[0] == netip.MustParseAddr(c.slice(0).Endpoints[0].Addresses[0]) {
					return string(ep.ID)
				}
			}
			return ""
		}},
	}
}

// counted counts the calls about one object.
type counted struct {
	mu     sync.Mutex
	object string
	calls  int
}

func (o *counted) join(cfg *proxier.Config) {
	cfg.Driver = writesThrough(cfg.Driver, func(_ hnslb.Verb, object string, call func() error) error {
		o.mu.Lock()
		if object == o.object {
			o.calls++
		}
		o.mu.Unlock()
		return call()
	})
}

func (o *counted) hang(hns *emulator.Emulator, object string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.object = object
	hns.HangOn(object)
}

// TestStuckObject: HNS is stuck on one object for ever and serves the others. They do not
// notice, and one call is all that is left hanging.
func TestStuckObject(t *testing.T) {
	const changes, interval = 600, 100 * time.Millisecond
	const bar = 50 * time.Millisecond
	run := func(t *testing.T, profile profiles.Profile, what *stuck) time.Duration {
		t.Helper()
		s, c, calls := newServed(), newCluster(200, 5), &counted{}
		hns := newHNS(t, profile, emulator.WS2022Latency(), s.heard)
		n := start(t, hns, c, usual, calls.join)
		n.coldStart(c)
		n.settle()
		if what != nil {
			calls.hang(hns, what.object(hns, c))
			mustChange(t, true)(n.proxy.Store().SetSlice(nil, c.replace(0)))
			<-time.After(interval)
		}
		for i := range changes {
			j := 1 + i%(c.services-1)
			s.change(t, n, c, j, c.replace(j))
			<-time.After(interval)
		}
		<-time.After(10 * time.Second)
		took := s.took(t, changes, nil)
		t.Logf("change to served: p50 %v, p99 %v, max %v, bar of p99 %v; %d calls at the object", p(took, 50), p(took, 99), p(took, 100), bar, calls.calls)
		if p(took, 99) > bar || what != nil && calls.calls != 1 {
			t.Errorf("p99 %v, bar %v; %d calls at the object, want 1", p(took, 99), bar, calls.calls)
		}
		n.stop()
		hns.ReleaseHung()
		<-time.After(time.Second)
		return p(took, 99)
	}
	for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025()} {
		var healthy time.Duration
		t.Run(profile.Name+" nothing", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { healthy = run(t, profile, nil) })
		})
		for _, what := range stuckObjects() {
			if profile.Name == "ws2025" && what.name == "load balancer" {
				continue // it is changed in place, under the name of its frontend
			}
			t.Run(profile.Name+" "+what.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					if got := run(t, profile, &what); got > healthy {
						t.Errorf("p99 %v, without a stuck object %v", got, healthy)
					}
				})
			})
		}
	}
}

// TestStuckForADay: of an object that is stuck for a day, one call hangs, although it changes
// as others do and HNS is audited all the time.
func TestStuckForADay(t *testing.T) {
	for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025()} {
		for _, what := range stuckObjects() {
			if profile.Name == "ws2025" && what.name == "load balancer" {
				continue
			}
			t.Run(profile.Name+" "+what.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, c, calls := newServed(), newCluster(20, 3), &counted{}
					hns := newHNS(t, profile, emulator.WS2022Latency(), s.heard)
					n := start(t, hns, c, usual, calls.join)
					n.coldStart(c)
					n.settle()
					calls.hang(hns, what.object(hns, c))
					made := 0
					for i := range 24 * 60 {
						j := i % c.services
						if slice := c.replace(j); j == 0 {
							mustChange(t, true)(n.proxy.Store().SetSlice(nil, slice))
						} else {
							made++
							s.change(t, n, c, j, slice)
						}
						<-time.After(time.Minute)
					}
					took := s.took(t, made, nil)
					t.Logf("%d calls at the object in a day; change to served: p99 %v, max %v", calls.calls, p(took, 99), p(took, 100))
					if calls.calls != 1 {
						t.Errorf("%d calls at an object that is stuck, want 1", calls.calls)
					}
					n.stop()
					hns.ReleaseHung()
					<-time.After(time.Second)
				})
			})
		}
	}
}
