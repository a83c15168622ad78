// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestOverlayFromBoot starts hnsproxy.exe on a node whose overlay comes in steps: first without a management IP, then with one that
// no adapter has yet, so that the host's MAC is not known, then without routes to other nodes. All is made once, with the right
// provider addresses, and nothing is left behind.
func TestOverlayFromBoot(t *testing.T) {
	if err := winlab.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	hnsproxy, err := program.Hnsproxy(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, profile := range []profiles.Profile{profiles.WS2019(), profiles.WS2022()} {
		t.Run(profile.Name, func(t *testing.T) {
			n := newNode(t, profile, true)
			whole := n.State().Networks[0]
			n.must(n.SetHost(network, netip.Addr{}, ""))
			n.must(n.SetRemotes(network, nil))
			// The Node has an address that no adapter has, so that the network's counts.
			n.host.Args = []string{"--bind-address=192.0.2.78"}
			r, err := hnsproxy.Start(t.Context(), n.host)
			n.must(err)
			t.Cleanup(r.Kill)

			n.logs(r, "no management IP assigned yet")
			n.must(n.SetHost(network, netip.MustParseAddr("192.0.2.77"), ""))
			n.logs(r, "no network adapter on this host has address 192.0.2.77 yet")
			if writes := n.writes(); len(writes) > 0 {
				t.Errorf("written from half a picture: %v", writes)
			}
			n.must(n.SetHost(network, whole.ManagementIP, whole.HostMAC))
			n.logs(r, "HNS network ready")
			n.quiet(500 * time.Millisecond)
			n.must(n.SetRemotes(network, whole.Remotes))
			n.await(r)
			n.quiet(3 * time.Second)
			r.Stop()

			state := n.State()
			if endpoints, balancers := n.tracker.Surplus(state); endpoints+balancers > 0 {
				t.Errorf("nobody wants %d endpoints and %d load balancers:\n%s", endpoints, balancers, n.Dump())
			}
			once := map[hnslb.Verb]int{hnslb.VerbCreateEndpoint: len(state.Endpoints) - 1, hnslb.VerbCreateLoadBalancer: len(state.LoadBalancers)}
			if diff := cmp.Diff(once, n.writes()); diff != "" {
				t.Errorf("each object is made once (-want +got):\n%s\n%s", diff, n.Dump())
			}
			for _, e := range state.Endpoints {
				if want := providerOf(whole, e.IPs[0]); e.Remote && e.ProviderAddress != want {
					t.Errorf("endpoint %s is behind %s, want %s", e.IPs[0], e.ProviderAddress, want)
				}
			}
		})
	}
}

// providerOf is the host that has an address: that of the route to it, else this node.
func providerOf(n emulator.NetworkState, ip netip.Addr) netip.Addr {
	for _, r := range n.Remotes {
		if r.Prefix.Contains(ip) {
			return r.ProviderAddress
		}
	}
	return n.ManagementIP
}

// logs waits until a program has logged some words.
func (n *node) logs(r *program.Running, words string) {
	n.tb.Helper()
	n.poll(r, func() (bool, string) {
		text, err := r.Log()
		n.must(err)
		return strings.Contains(text, words), "its log does not say " + words
	})
}

// await waits until HNS holds what it must.
func (n *node) await(r *program.Running) {
	n.tb.Helper()
	n.poll(r, func() (bool, string) {
		missing := n.tracker.Missing()
		return missing == 0, fmt.Sprintf("%d frontends missing", missing)
	})
}
