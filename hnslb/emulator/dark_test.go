// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

func frontend(vip string, port uint16) hnslb.FrontendKey {
	return hnslb.FrontendKey{Family: hnslb.FamilyOf(ip(vip)), VIP: ip(vip), Protocol: hnslb.TCP, Port: port}
}

func TestDarkTime(t *testing.T) {
	const ms = time.Millisecond
	key := frontend("10.96.0.10", 80)
	// Each step happens 10 ms after the one before.
	type steps = []func(n *node)
	pods := func(n *node) []hnslb.ID {
		st := n.State()
		return []hnslb.ID{st.Endpoints[0].ID, st.Endpoints[1].ID}
	}
	first := func(n *node) hnslb.ID { return n.State().LoadBalancers[0].ID }
	create := func(n *node) { n.balance(pods(n)) }
	remove := func(n *node) { n.must(n.DeleteLoadBalancer(n.t.Context(), first(n))) }
	nothing := func(*node) {}
	for _, c := range []struct {
		name  string
		steps steps
		dark  emulator.DarkTime
		still time.Duration
		never bool
	}{
		{name: "always lit", steps: steps{create, nothing}},
		{name: "never lit", steps: steps{nothing}, never: true},
		{name: "deleted and made again", steps: steps{create, remove, create}, dark: emulator.DarkTime{Total: 10 * ms, Longest: 10 * ms, Times: 1}},
		{
			name: "in one instant", steps: steps{create, func(n *node) { remove(n); create(n) }},
			dark: emulator.DarkTime{Times: 1},
		},
		{
			name: "twice", steps: steps{create, remove, create, remove, nothing, create},
			dark: emulator.DarkTime{Total: 30 * ms, Longest: 20 * ms, Times: 2},
		},
		{
			name: "longer first", steps: steps{create, remove, nothing, create, remove, create},
			dark: emulator.DarkTime{Total: 30 * ms, Longest: 20 * ms, Times: 2},
		},
		{name: "still dark", steps: steps{create, remove, nothing}, still: 20 * ms},
		{name: "one backend left", steps: steps{create, func(n *node) { n.must(n.RemoveLocalEndpoint(ip("10.244.1.5"))) }, nothing}},
		{name: "no backend left", steps: steps{
			create,
			func(n *node) {
				n.must(n.RemoveLocalEndpoint(ip("10.244.1.5")))
				n.must(n.RemoveLocalEndpoint(ip("10.244.1.6")))
			},
		}, still: 10 * ms},
		{name: "modified to live backends", steps: steps{
			create,
			func(n *node) {
				n.must(n.RemoveLocalEndpoint(ip("10.244.1.5")))
				n.must(n.RemoveLocalEndpoint(ip("10.244.1.6")))
			},
			func(n *node) {
				lb := n.State().LoadBalancers[0].LoadBalancer
				lb.Endpoints = []hnslb.ID{n.local("10.244.1.7")}
				_, err := n.UpdateLoadBalancer(n.t.Context(), lb)
				n.must(err)
			},
		}, dark: emulator.DarkTime{Total: 10 * ms, Longest: 10 * ms, Times: 1}},
		{name: "modified", steps: steps{create, func(n *node) {
			lb := n.State().LoadBalancers[0].LoadBalancer
			lb.Endpoints = lb.Endpoints[:1]
			_, err := n.UpdateLoadBalancer(n.t.Context(), lb)
			n.must(err)
		}}},
		{name: "HNS stopped", steps: steps{
			create, func(n *node) { n.Stop() }, nothing, func(n *node) { n.Start(emulator.RestartOptions{}) },
		}},
		{name: "lost in a restart", steps: steps{
			create, func(n *node) { n.Stop() }, func(n *node) { n.Start(emulator.RestartOptions{LoseLoadBalancers: true}) }, create,
		}, dark: emulator.DarkTime{Total: 10 * ms, Longest: 10 * ms, Times: 1}},
		{name: "without rules", steps: steps{
			create, func(n *node) { n.must(n.BreakDataPath(key, true)) }, func(n *node) { n.must(n.BreakDataPath(key, false)) },
		}, dark: emulator.DarkTime{Total: 10 * ms, Longest: 10 * ms, Times: 1}},
		{name: "deleted behind", steps: steps{create, func(n *node) { n.must(n.DeleteBehind(first(n))) }}, still: 10 * ms},
		{name: "network replaced", steps: steps{create, func(n *node) { _, err := n.ReplaceNetwork("Calico"); n.must(err) }}, still: 10 * ms},
		{name: "forgotten", steps: steps{create, remove, func(n *node) { n.ForgetDark(key) }}, never: true},
		{name: "reset while lit", steps: steps{create, remove, create, func(n *node) { n.ResetDark() }}},
		{name: "reset while dark", steps: steps{create, remove, func(n *node) { n.ResetDark() }}, never: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, profiles.WS2025(), "L2Bridge")
				n.local("10.244.1.5")
				n.local("10.244.1.6")
				for _, step := range c.steps {
					step(n)
					<-time.After(10 * ms)
				}
				got, ever := n.Dark()[key]
				if got != c.dark || ever == c.never {
					t.Errorf("dark %+v, recorded %v; want %+v, %v", got, ever, c.dark, !c.never)
				}
				want := map[hnslb.FrontendKey]time.Duration{}
				if c.still > 0 {
					want[key] = c.still
				}
				if still := n.StillDark(); !maps.Equal(still, want) {
					t.Errorf("still dark %v, want %v", still, want)
				}
			})
		})
	}
}

func TestWorstDark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, profiles.WS2022(), "L2Bridge")
		pods := []hnslb.ID{n.local("10.244.1.5")}
		if k, d, ok := n.WorstDark(); ok {
			t.Errorf("worst is %s, %v before anything was dark", k, d)
		}
		for port, dark := range map[uint16]time.Duration{80: 3, 81: 5, 82: 4} {
			lb := n.balance(pods, external(port))
			n.must(n.DeleteLoadBalancer(t.Context(), lb.ID))
			<-time.After(dark * time.Second)
			n.balance(pods, external(port))
		}
		k, d, ok := n.WorstDark()
		if want := frontend("10.96.0.10", 81); !ok || k != want || d.Longest != 5*time.Second {
			t.Errorf("worst is %s, %v; want %s with 5 s", k, d, want)
		}
	})
}
