// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestTakeover runs kube-proxy.exe, puts hnsproxy.exe in its place, and then kube-proxy.exe again.
//
// hnsproxy keeps what it finds: it writes nothing but the removal of what belonged to a Service that was deleted meanwhile, and
// nothing is dark. kube-proxy wipes all load balancers when it starts and makes the same as the first time, without an error more.
func TestTakeover(t *testing.T) {
	kubeProxy, hnsproxy := programs(t)
	for _, profile := range []profiles.Profile{profiles.WS2022(), profiles.WS2025()} {
		for _, overlay := range []bool{false, true} {
			name := profile.Name + "/L2Bridge"
			if overlay {
				name = profile.Name + "/Overlay"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				n := newNode(t, profile, overlay)

				first := n.start(kubeProxy)
				complaints := n.complaints(first)
				first.Stop()
				before := n.Dump()
				n.reset()
				gone := n.delete("gone")

				ours := n.start(hnsproxy)
				ours.Stop()
				removed := map[hnslb.Verb]int{hnslb.VerbDeleteLoadBalancer: 1, hnslb.VerbDeleteEndpoint: 3}
				if overlay {
					removed[hnslb.VerbDeleteEndpoint]++ // that of the cluster IP
				}
				if diff := cmp.Diff(removed, n.writes()); diff != "" {
					t.Errorf("hnsproxy wrote (-want +got):\n%s\nHNS before:\n%s", diff, before)
				}
				if diff := cmp.Diff(held(before, gone...), held(n.Dump())); diff != "" {
					t.Errorf("hnsproxy left HNS (-want +got):\n%s", diff)
				}
				n.neverDark()
				if words := n.complaints(ours); len(words) > 0 {
					t.Errorf("hnsproxy logged errors: %q", words)
				}

				again := n.start(kubeProxy)
				if diff := cmp.Diff(held(before, gone...), held(n.Dump())); diff != "" {
					t.Errorf("kube-proxy made of what hnsproxy left (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(complaints, n.complaints(again)); diff != "" {
					t.Errorf("kube-proxy complained (-the first time +now):\n%s", diff)
				}
				if endpoints, balancers := n.tracker.Surplus(n.State()); endpoints+balancers > 0 {
					t.Errorf("nobody wants %d endpoints and %d load balancers:\n%s", endpoints, balancers, n.Dump())
				}
				again.Stop()
			})
		}
	}
}
