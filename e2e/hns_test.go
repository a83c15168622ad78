// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestHNSRestarts restarts HNS under hnsproxy, with and without loss, makes its network anew, and deletes objects behind
// hnsproxy's back. Each time HNS comes to hold again what it must.
func TestHNSRestarts(t *testing.T) {
	for _, setup := range bothWays(harness.Setups()...) {
		setup.SyncPeriod = time.Second // so that no test need wait half a minute
		t.Run(setup.String(), func(t *testing.T) {
			w := harness.New(t, plane, setup)
			group := w.Group("web", 4)
			remote := w.Group("remote", 2, w.Peer)
			w.Service("web")
			w.Service("remote")
			w.Service("gone", func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "web"} })
			w.StartProxy()
			w.Converge()

			t.Log("nothing is lost")
			w.HNS.ResetCounts()
			w.HNS.ResetDark()
			w.HNS.Stop()
			missHNS(w)
			w.HNS.Start(emulator.RestartOptions{})
			w.Eventually("list HNS", func() bool { return w.HNS.Counts()[hnslb.VerbLoadBalancers] >= 1 })
			w.Converge()
			if writes := w.Writes(); writes > 0 {
				t.Errorf("%d writes after a restart of HNS that lost nothing", writes)
			}
			w.NeverDark()
			for _, lost := range []emulator.RestartOptions{
				{LoseLoadBalancers: true}, {LoseEndpoints: true}, {LoseLoadBalancers: true, LoseEndpoints: true},
			} {
				t.Logf("lost is %+v", lost)
				w.RestartHNS(lost)
				w.Converge()
			}

			t.Log("HNS is away while Pods and Services change")
			w.HNS.ResetCounts()
			w.HNS.Stop()
			w.Must(remote.Scale(t.Context(), 4))
			w.Service("new", func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "remote"} })
			w.DeleteService("gone")
			w.UpdateService("web", port(8000, 8080))
			missHNS(w)
			w.HNS.Start(emulator.RestartOptions{})
			w.Converge()

			t.Log("the network is made anew")
			w.ReplaceNetwork()
			w.Must(group.ReplaceOldest(t.Context()))
			w.Converge()

			t.Log("objects are deleted behind hnsproxy's back")
			state := w.HNS.State()
			w.Must(w.HNS.DeleteBehind(state.LoadBalancers[0].ID))
			for _, e := range state.Endpoints {
				if e.Remote {
					w.Must(w.HNS.DeleteBehind(e.ID))
					break
				}
			}
			w.Converge()
		})
	}
}

// missHNS waits until hnsproxy has called an HNS that is away, and again.
func missHNS(w *harness.World) {
	w.Eventually("miss HNS", func() bool { return w.HNS.Errors()[hnslb.VerbNetwork] >= 2 })
}

// TestHealsWhileIdle takes load balancers away while nothing changes, each twice: HNS is away for five seconds and comes back
// without them, and its network is made anew. hnsproxy notices by itself, long before it would compare: all is there again
// five seconds after HNS. On a machine that other programs keep busy it may take three times as long as the start did.
func TestHealsWhileIdle(t *testing.T) {
	const count, endpoints, twice, slower = 100, 3, 2, 3
	const away, bar = 5 * time.Second, 5 * time.Second
	setup := asExe(harness.Setup{Profile: profiles.WS2022(), SyncPeriod: time.Hour})[0]
	n := newTracked(t, setup)
	_, services, _ := bulkServices(t, n.Namespace, count, endpoints)
	start := n.start(services)
	allowed := max(bar, slower*start)
	losses := []struct {
		name string
		lose func() // returns when HNS is back
	}{
		{"HNS away", func() {
			n.HNS.Stop()
			<-time.After(away)
			n.HNS.Start(emulator.RestartOptions{LoseLoadBalancers: true})
		}},
		{"network made anew", n.ReplaceNetwork},
	}
	for range twice {
		for _, l := range losses {
			n.HNS.ResetCounts()
			l.lose()
			back := time.Now()
			n.programmed()
			if made := n.HNS.Counts()[hnslb.VerbCreateLoadBalancer]; made < len(services) {
				t.Errorf("%s: %d load balancers were made, want all %d", l.name, made, len(services))
			}
			last, _ := n.tracker.Since(services...)
			healed := last.Sub(back)
			t.Logf("%s: healed after %v, bar %v; the start took %v", l.name, healed, allowed, start)
			if healed > allowed {
				t.Errorf("%s: healed after %v, bar %v", l.name, healed, allowed)
			}
			n.Converge()
		}
	}
}
