// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestShowsDegraded: only lists show it, and only of a release that does.
func TestShowsDegraded(t *testing.T) {
	for _, shows := range []bool{false, true} {
		t.Run(fmt.Sprint(shows), func(t *testing.T) {
			profile := profiles.WS2025()
			profile.Quirks.ShowsDegraded = shows
			n := nodeOf(t, emulator.Config{Profile: profile}, spec("L2Bridge"))
			lb := n.balance([]hnslb.ID{n.remote("10.244.2.5")})
			key, _ := lb.Key()
			step := func(what string, broken, want bool) {
				t.Helper()
				n.must(n.BreakDataPath(key, broken))
				all, err := n.LoadBalancers(t.Context())
				n.must(err)
				if len(all) != 1 || all[0].Degraded != want {
					t.Errorf("%s: %+v, want degraded %v", what, all, want)
				}
			}
			step("healthy", false, false)
			step("without rules", true, shows)
			lb.Degraded = true
			made, err := n.UpdateLoadBalancer(t.Context(), lb)
			n.must(err)
			if made.Degraded {
				t.Error("a modify shows it")
			}
			step("with rules again", false, false)
		})
	}
}

// TestWatch: each change of what a frontend sends to is heard once, in order, with the state after it.
func TestWatch(t *testing.T) {
	var heard []string
	c := emulator.Config{Profile: profiles.WS2025(), Watch: func(s emulator.Serving) {
		heard = append(heard, fmt.Sprintf("%s %v", s.Frontend, s.Backends))
	}}
	n := nodeOf(t, c, spec("L2Bridge"))
	step := func(what string, do func(), want ...string) {
		t.Helper()
		heard = nil
		do()
		if diff := cmp.Diff(want, heard); diff != "" {
			t.Errorf("%s (-want +heard):\n%s", what, diff)
		}
	}
	ctx := t.Context()
	first, second, third := n.remote("10.244.2.5"), n.remote("10.244.2.6"), n.remote("10.244.2.7")
	var lb hnslb.LoadBalancer
	step("create", func() { lb = n.balance([]hnslb.ID{second, first}) }, "10.96.0.10:80/TCP [10.244.2.6 10.244.2.5]")
	step("refused create", func() {
		if _, err := n.CreateLoadBalancer(ctx, balancerOf([]hnslb.ID{first})); err == nil {
			t.Error("two load balancers on one frontend")
		}
	})
	step("modify", func() {
		lb.Endpoints = []hnslb.ID{third, first}
		_, err := n.UpdateLoadBalancer(ctx, lb)
		n.must(err)
	}, "10.96.0.10:80/TCP [10.244.2.7 10.244.2.5]")
	step("delete an unused endpoint", func() { n.must(n.DeleteEndpoint(ctx, second)) })
	step("delete a used endpoint", func() { n.must(n.DeleteEndpoint(ctx, third)) }, "10.96.0.10:80/TCP [10.244.2.5]")
	key := frontend("10.96.0.10", 80)
	step("lose the rules", func() { n.must(n.BreakDataPath(key, true)) }, "10.96.0.10:80/TCP []")
	step("restart", func() { n.Restart(emulator.RestartOptions{}) }, "10.96.0.10:80/TCP [10.244.2.5]")
	step("reset of the records", n.ResetDark)
	step("restore", func() { n.must(n.Restore(n.State())) })
	step("delete", func() { n.must(n.DeleteLoadBalancer(ctx, lb.ID)) }, "10.96.0.10:80/TCP []")
	step("node port", func() { n.local("10.244.1.5"); n.balance([]hnslb.ID{first}, nodePort) }, "0.0.0.0:80/TCP [10.244.2.5]")
}
