// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/hnslb"
)

// TestKilledInTheMiddleOfASync kills hnsproxy.exe in each kind of write. HNS carries out the write all the same, as Windows
// does for a process that has died. The next hnsproxy takes over what it finds: nothing is left over or missing, and no
// frontend is dark but for the one time that its load balancer has to be made anew.
func TestKilledInTheMiddleOfASync(t *testing.T) {
	for _, setup := range asExe(harness.Setups()...) {
		t.Run(setup.String(), func(t *testing.T) {
			w := harness.New(t, plane, setup)
			group := w.Group("web", 3, w.Peer)
			w.Service("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort })
			proxy := w.StartProxy()
			w.Converge()

			anew := !hnslb.FeaturesOf(setup.Profile.Version).Modify
			// By one Pod at a time: two are two changes, and the load balancers are made anew for each.
			scale := func(pods int) func() { return func() { w.Must(group.Scale(t.Context(), pods)) } }
			steps := []killStep{
				{"create an endpoint", hnslb.VerbCreateEndpoint, scale(4), anew},
				{"delete an endpoint", hnslb.VerbDeleteEndpoint, scale(3), anew},
				{"create the load balancer of a new Service", hnslb.VerbCreateLoadBalancer, func() {
					w.Service("new", func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "web"} })
				}, false},
				{"delete that of a Service that has gone", hnslb.VerbDeleteLoadBalancer, func() { w.DeleteService("new") }, false},
			}
			if anew {
				steps = append(steps,
					killStep{"delete a load balancer that is made anew", hnslb.VerbDeleteLoadBalancer, scale(4), anew},
					killStep{"make a load balancer anew", hnslb.VerbCreateLoadBalancer, scale(5), anew})
			} else {
				steps = append(steps, killStep{"change a load balancer", hnslb.VerbUpdateLoadBalancer, scale(4), anew})
			}
			for _, step := range steps {
				t.Log(step.name)
				proxy = step.kill(t, w, proxy)
			}
		})
	}
}

// killStep is a change of the cluster that leads to a write of HNS.
type killStep struct {
	name   string
	verb   hnslb.Verb
	change func()
	// anew tells that the load balancers of Service "web" have to be made anew.
	anew bool
}

// kill kills hnsproxy in that write, starts it again and returns the new one.
func (s killStep) kill(t *testing.T, w *harness.World, proxy *harness.Proxy) *harness.Proxy {
	t.Helper()
	w.HNS.ResetDark()
	w.HNS.ResetCounts()
	w.HNS.Hang(s.verb, 1)
	s.change()
	w.Eventually("come to "+s.name, func() bool { return w.HNS.Counts()[s.verb] > 0 })
	proxy.Kill()
	w.HNS.ReleaseHung()
	proxy = w.StartProxy()
	w.Converge()
	web := w.Get("web")
	for key, dark := range w.HNS.Dark() {
		allowed := 0
		if s.anew && (key.NodePort() || slices.Contains(web.Spec.ClusterIPs, key.VIP.String())) {
			allowed = 1
		}
		if dark.Times > allowed {
			t.Errorf("killed when about to %s: %s was dark %d times, want %d at most", s.name, key, dark.Times, allowed)
		}
	}
	return proxy
}
