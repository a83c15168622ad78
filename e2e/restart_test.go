// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestRestartOfAnUnchangedNode restarts hnsproxy: it lists HNS once, writes nothing, and nothing is ever dark.
func TestRestartOfAnUnchangedNode(t *testing.T) {
	for _, setup := range bothWays(harness.Setups()...) {
		t.Run(setup.String(), func(t *testing.T) {
			w := harness.New(t, plane, setup)
			_, packets := busyService(w)
			first := w.StartProxy()
			w.Converge()

			traffic := w.Traffic(packets...)
			w.HNS.ResetDark()
			w.HNS.ResetCounts()
			before := w.HNS.Dump()
			first.Stop()
			second := w.StartProxy()
			w.Converge()
			if diff := cmp.Diff(w.ReadCalls(), w.Calls()); diff != "" {
				t.Errorf("calls of HNS (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, w.HNS.Dump()); diff != "" {
				t.Errorf("HNS (-before +after):\n%s", diff)
			}
			if second.Log.Count("First sync complete: 0 writes") != 1 {
				t.Errorf("the log does not say that nothing was written:\n%s", second.Log.Tail(20))
			}
			w.NeverDark()
			if _, lost := traffic.Stop(); len(lost) > 0 {
				t.Errorf("%d packets were lost, such as %s", len(lost), lost[0])
			}
		})
	}
}

// TestRestartsInTheMiddleOfARoll stops and kills hnsproxy while each Pod is being replaced, and starts it again. Where HNS
// changes load balancers in place nothing is lost; elsewhere only what a load balancer that is made anew costs.
func TestRestartsInTheMiddleOfARoll(t *testing.T) {
	for end, setups := range map[string][]harness.Setup{
		"stopped": bothWays(harness.Setup{Profile: profiles.WS2025()}, harness.Setup{Profile: profiles.WS2025(), Overlay: true}),
		"killed":  asExe(harness.Setups()...),
	} {
		for _, setup := range setups {
			setup.Latency = emulator.WS2022Latency()
			t.Run(end+"/"+setup.String(), func(t *testing.T) {
				w := harness.New(t, plane, setup)
				group, packets := busyService(w)
				proxy := w.StartProxy()
				w.Converge()
				group.Grace = func(ctx context.Context, pod *corev1.Pod) error {
					if end == "killed" {
						proxy.Kill()
					} else {
						proxy.Stop()
					}
					proxy = w.StartProxy()
					return w.Drained(ctx, pod)
				}
				w.HNS.ResetDark()
				w.HNS.ResetCounts()
				traffic := w.Traffic(packets...)
				for range group.Pods() {
					w.Must(group.ReplaceOldest(t.Context()))
				}
				w.Converge()
				_, lost := traffic.Stop()
				nothingLost(t, w, setup, lost)
			})
		}
	}
}

// TestChangesWhileStopped changes and deletes Services while hnsproxy does not run. What is left over goes after it is back,
// and not before it has read both Services and EndpointSlices.
func TestChangesWhileStopped(t *testing.T) {
	for _, setup := range bothWays(harness.Setups()...) {
		t.Run(setup.String(), func(t *testing.T) {
			w := harness.New(t, plane, setup)
			gone, kept := w.Group("gone", 2), w.Group("kept", 3)
			w.Service("gone", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort })
			w.Service("kept")
			w.Service("ports")
			w.Group("ports", 2)
			first := w.StartProxy()
			w.Converge()
			first.Stop()

			w.DeleteService("gone")
			w.Must(gone.Scale(t.Context(), 0))
			w.Must(kept.RollingUpdate(t.Context()))
			w.UpdateService("ports", port(8000, 8080))
			w.Service("new", func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "kept"} })
			before := w.HNS.Dump()
			w.HNS.ResetCounts()

			w.AllowOnly("services", "nodes")
			second := w.StartProxy()
			// The client asks in two ways at once; more than that is after a while, in which Services have been read.
			w.Eventually("ask for EndpointSlices in vain", func() bool { return w.Refusals("endpointslices") >= 3 })
			if second.Synced() {
				t.Error("hnsproxy claims to have read EndpointSlices")
			}
			if diff := cmp.Diff(map[hnslb.Verb]int{}, w.HNS.Counts()); diff != "" {
				t.Errorf("calls of HNS before the first lists (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, w.HNS.Dump()); diff != "" {
				t.Errorf("HNS before the first lists (-before +after):\n%s", diff)
			}
			w.AllowAll()
			w.Converge()
		})
	}
}

// TestStopBetweenDeletionAndCreation asks hnsproxy to end while it makes a load balancer anew, since this HNS cannot change one
// in place. It ends after the creation: the Service is not dark until somebody starts hnsproxy again.
func TestStopBetweenDeletionAndCreation(t *testing.T) {
	for _, setup := range bothWays(harness.Setup{Profile: profiles.WS2022(), Overlay: true}) {
		t.Run(setup.String(), func(t *testing.T) { stopBetweenDeletionAndCreation(t, setup) })
	}
}

func stopBetweenDeletionAndCreation(t *testing.T, setup harness.Setup) {
	t.Helper()
	w := harness.New(t, plane, setup)
	group := w.Group("web", 2, w.Node)
	w.Service("web")
	proxy := w.StartProxy()
	w.Converge()

	w.HNS.ResetCounts()
	w.HNS.Hang(hnslb.VerbDeleteLoadBalancer, 1)
	w.Must(group.Scale(t.Context(), 3))
	w.Eventually("delete the load balancer", func() bool { return w.HNS.Counts()[hnslb.VerbDeleteLoadBalancer] == 1 })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		proxy.Stop()
	}()
	w.Eventually("be asked to end", func() bool { return proxy.Stopping() })
	w.HNS.ReleaseHung()
	<-stopped
	if dark := w.HNS.StillDark(); len(dark) > 0 {
		t.Errorf("hnsproxy ended and left dark: %v", dark)
	}
	w.StartProxy()
	w.Converge()
}
