// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"pgregory.net/rapid"
)

// TestConverges: after any sequence of changes, failures and restarts HNS ends as a fresh
// HNS does that saw only the last state of the cluster: nothing missing, nothing left
// over, no local endpoint touched.
func TestConverges(t *testing.T) {
	testConverges(t, 30*time.Second, slices.Concat(announced, unannounced))
}

// TestConvergesWithoutAudit: of what somebody tells the proxy, nothing is left to the
// audit to repair.
func TestConvergesWithoutAudit(t *testing.T) { testConverges(t, 24*time.Hour, announced) }

// What happens to a cluster and a node, by whether anybody tells the proxy.
var (
	announced = []string{"service", "service", "slice", "slice", "slice", "slice", "delete-service", "delete-slice",
		"local", "fail", "fail", "lose-answer", "flaky", "steady", "restart", "hns-away", "hns-back", "advance", "advance"}
	unannounced = []string{"unlocal", "hns-restart", "hns-lose", "behind", "network", "routes", "audit"}
)

func testConverges(t *testing.T, audit time.Duration, kinds []string) {
	t.Helper()
	for _, network := range []string{"L2Bridge", "Overlay"} {
		for _, profile := range []profiles.Profile{profiles.WS2019(), profiles.WS2022(), profiles.WS2025RTM(), profiles.WS2025()} {
			t.Run(network+"/"+profile.Name, func(t *testing.T) {
				rapid.Check(t, func(rt *rapid.T) {
					script := rapid.SliceOfN(anAction(kinds), 1, 40).Draw(rt, "script")
					seed := rapid.Uint64().Draw(rt, "seed")
					var got, want string
					var broken []string
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t, network, profile, audit, seed)
						for _, a := range script {
							w.do(a)
						}
						w.calm()
						got, broken = w.dump(), w.broken()
						want = w.fresh().dump()
					})
					if diff := cmp.Diff(want, got); diff != "" {
						rt.Fatalf("HNS differs from a fresh start (-fresh +this):\n%s", diff)
					}
					if len(broken) > 0 {
						rt.Fatalf("broken laws:\n%s", strings.Join(broken, "\n"))
					}
				})
			})
		}
	}
}

// action is one thing that happens to a cluster or a node, as data: rapid can shrink it.
type action struct {
	Kind     string
	Service  int
	Slice    int
	Number   int
	Flags    uint
	Backends []backend
	Verb     hnslb.Verb
}

type backend struct {
	Host  int // 1-8 on this node, 11-18 on others, 21-22 outside the cluster
	State int // ready, draining, neither
	// Moved: the address was another node's pod when the slice was written. On L2Bridge
	// all nodes may share one subnet, so that addresses wander (k8s issue 138000).
	Moved bool
}

func anAction(kinds []string) *rapid.Generator[action] {
	someBackend := rapid.Custom(func(t *rapid.T) backend {
		hosts := []int{1, 2, 3, 11, 12, 13, 14, 21}
		return backend{Host: rapid.SampledFrom(hosts).Draw(t, "host"), State: rapid.IntRange(0, 2).Draw(t, "state"),
			Moved: rapid.IntRange(0, 3).Draw(t, "moved") == 0}
	})
	return rapid.Custom(func(t *rapid.T) action {
		return action{
			Kind:     rapid.SampledFrom(kinds).Draw(t, "kind"),
			Service:  rapid.IntRange(0, 3).Draw(t, "service"),
			Slice:    rapid.IntRange(0, 1).Draw(t, "slice"),
			Number:   rapid.IntRange(0, 7).Draw(t, "number"),
			Flags:    uint(rapid.IntRange(0, 1<<8-1).Draw(t, "flags")),
			Backends: rapid.SliceOfN(someBackend, 0, 5).Draw(t, "backends"),
			Verb:     rapid.SampledFrom(hnslb.Verbs()[1:]).Draw(t, "verb"),
		}
	})
}
