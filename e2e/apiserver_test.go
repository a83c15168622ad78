// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestAPIServerAway takes the API server away, orderly and by a crash. Meanwhile HNS is left alone and traffic goes on; what
// changed before hnsproxy was connected again is picked up.
func TestAPIServerAway(t *testing.T) {
	for _, setup := range bothWays(harness.Setup{Profile: profiles.WS2025()}, harness.Setup{Profile: profiles.WS2022(), Overlay: true}) {
		crash := setup.Overlay
		t.Run(fmt.Sprintf("crash=%t/%s", crash, setup), func(t *testing.T) {
			w := harness.New(t, plane, setup)
			group, packets := busyService(w)
			w.Service("gone", func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "web"} })
			proxy := w.StartProxy()
			w.Converge()

			w.StopAPIServer(crash)
			if !crash {
				// Before it ended it took its endpoint out of the Service "kubernetes".
				w.Eventually("see the API server leave", func() bool { return !strings.Contains(w.HNS.Dump(), "loadbalancer 10.96.0.1 ") })
			}
			before := w.HNS.Dump()
			w.HNS.ResetCounts()
			w.HNS.ResetDark()
			traffic := w.Traffic(packets...)
			missed := func() float64 { return proxy.Metrics().Value("rest_client_requests_total", "code", "<error>") }
			first := missed()
			w.Eventually("miss the API server", func() bool { return missed() >= first+3 })
			if diff := cmp.Diff(before, w.HNS.Dump()); diff != "" || w.Writes() != 0 {
				t.Errorf("%d writes; HNS before and while the API server is away (-before +while):\n%s", w.Writes(), diff)
			}
			w.NeverDark()
			if _, lost := traffic.Stop(); len(lost) > 0 {
				t.Errorf("%d packets were lost, such as %s", len(lost), lost[0])
			}

			w.StartAPIServer()
			w.DeleteService("gone")
			w.Must(group.Scale(t.Context(), 6))
			w.Must(group.ReplaceOldest(t.Context()))
			w.Service("new", func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "web"} })
			w.Converge()
		})
	}
}

// TestRefusedAtFirst starts hnsproxy while it is allowed nothing, as when RBAC is not applied yet. It says so, asks again until
// it is allowed, and does nothing to HNS before.
func TestRefusedAtFirst(t *testing.T) {
	w := harness.New(t, plane, harness.Setup{Profile: profiles.WS2022(), Overlay: true})
	w.Group("web", 3)
	w.Service("web")
	w.AllowOnly()
	proxy := w.StartProxy()
	// The client asks in two ways at once.
	w.Eventually("be refused, and again", func() bool { return refusals(w) >= 3 })
	for _, resource := range []string{"services", "endpointslices", "nodes"} {
		w.Eventually("say what is refused", func() bool { return proxy.Log.Count("E", "is forbidden", "kube-system:hnsproxy", resource) > 0 })
	}
	if proxy.Synced() || len(w.HNS.Counts()) > 0 {
		t.Errorf("hnsproxy works on HNS without knowing Services: %v", w.HNS.Counts())
	}
	w.AllowAll()
	w.Converge()
}

// TestRefusedAfterARestart restarts the API server under hnsproxy and lets it refuse for a while, as one does whose RBAC is
// not warm yet. HNS is left alone until hnsproxy may read again.
func TestRefusedAfterARestart(t *testing.T) {
	w := harness.New(t, plane, harness.Setup{Profile: profiles.WS2025()})
	group := w.Group("web", 3)
	w.Service("web")
	w.StartProxy()
	w.Converge()

	w.AllowOnly()
	w.HNS.ResetCounts()
	w.HNS.ResetDark()
	w.StopAPIServer(true)
	w.StartAPIServer()
	w.Eventually("be refused", func() bool { return refusals(w) >= 1 })
	w.Must(group.Scale(t.Context(), 5))
	if w.Writes() > 0 {
		t.Errorf("HNS was written while hnsproxy was refused: %v", w.HNS.Counts())
	}
	w.AllowAll()
	w.Converge()
	w.NeverDark()
}

// refusals returns how often each kind of object was refused to hnsproxy at least.
func refusals(w *harness.World) int {
	return min(w.Refusals("services"), w.Refusals("endpointslices"), w.Refusals("nodes"))
}
