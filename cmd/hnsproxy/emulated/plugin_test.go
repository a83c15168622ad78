// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulated

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2/ktesting"
	"k8s.io/utils/clock"
)

// testPlugin is a plugin of the node "me" on an empty HNS.
func testPlugin(t *testing.T) *networkPlugin {
	t.Helper()
	o := options.New()
	o.Network, o.Hostname = "net", "me"
	e, err := newEmulator(o.Emulated, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	return newNetworkPlugin(e, o, ktesting.NewLogger(t, ktesting.NewConfig()))
}

// slice puts a slice with endpoints "node/address".
func (p *networkPlugin) slice(name string, endpoints ...string) {
	s := &services.Slice{}
	for _, e := range endpoints {
		node, ip, _ := strings.Cut(e, "/")
		s.Endpoints = append(s.Endpoints, services.Endpoint{Node: node, IP: netip.MustParseAddr(ip)})
	}
	p.set(cache.NewObjectName("shop", name), s)
}

// endpoints are the addresses that have a local endpoint.
func (p *networkPlugin) endpoints() string {
	var out []string
	for _, e := range p.hns.State().Endpoints {
		if !e.Remote {
			out = append(out, e.IPs[0].String())
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// TestPlugin: the pods of this node have endpoints while some slice lists them, and nobody
// else's are touched.
func TestPlugin(t *testing.T) {
	t.Parallel()
	p := testPlugin(t)
	want := func(when, endpoints string) {
		t.Helper()
		if got := p.endpoints(); got != endpoints {
			t.Errorf("%s: endpoints %q, want %q", when, got, endpoints)
		}
	}
	p.slice("a", "me/10.244.1.5", "other/10.244.2.5", "me/10.0.0.4", "me/192.0.2.1")
	want("before the start", "")
	if err := p.start(nil); err != nil {
		t.Fatal(err)
	}
	want("a pod; other nodes, the host's network and foreign addresses have none", "10.244.1.5")
	p.slice("b", "me/10.244.1.5", "me/10.244.1.6")
	want("one address in two slices", "10.244.1.5 10.244.1.6")
	p.slice("a")
	want("one of the slices is empty", "10.244.1.5 10.244.1.6")
	if _, err := p.hns.AddLocalEndpoint("net", netip.MustParseAddr("10.244.1.99")); err != nil {
		t.Fatal(err)
	}
	p.set(cache.NewObjectName("shop", "b"), nil)
	want("both are gone", "10.244.1.99")

	// The state of another run: its pods are known, so those that went go.
	p.slice("a", "me/10.244.1.7")
	again := testPlugin(t)
	if err := again.hns.Restore(p.hns.State()); err != nil {
		t.Fatal(err)
	}
	again.slice("b", "me/10.244.1.8")
	if err := again.start(nil); err != nil {
		t.Fatal(err)
	}
	p = again
	want("the next run", "10.244.1.8 10.244.1.99")
	if n := len(p.hns.State().Networks); n != 1 {
		t.Errorf("%d networks after the next run, want 1", n)
	}
}

// TestPluginTriesAgain: a pod that HNS refused gets its endpoint later.
func TestPluginTriesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := testPlugin(t)
		if err := p.start(nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			p.run(ctx, clock.RealClock{})
			close(ended)
		}()
		p.hns.Stop()
		p.slice("a", "me/10.244.1.5")
		p.hns.Start(emulator.RestartOptions{})
		<-time.After(retryPeriod + 1)
		synctest.Wait()
		if got := p.endpoints(); got != "10.244.1.5" {
			t.Errorf("endpoints %q, want the pod's", got)
		}
		cancel()
		<-ended
	})
}

func TestDemoNetwork(t *testing.T) {
	t.Parallel()
	node := &corev1.Node{
		Spec: corev1.NodeSpec{PodCIDRs: []string{"10.244.3.0/24", "no subnet", "fd00:3::/64"}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: "10.1.0.7"}, {Type: corev1.NodeInternalIP, Address: "fd00::7"},
		}},
	}
	got := demoNetwork("n", "overlay", node)
	if len(got.Remotes) != 9 || got.Remotes[3].Prefix.String() != "10.244.4.0/24" || got.Remotes[3].ProviderAddress.String() != "10.0.0.14" {
		t.Errorf("remote subnets %v, want nine without this node's", got.Remotes)
	}
	got.Remotes, got.HostMAC = nil, ""
	want := emulator.NetworkSpec{
		Name: "n", Type: "overlay", ManagementIP: netip.MustParseAddr("10.1.0.7"), ManagementIPv6: netip.MustParseAddr("fd00::7"),
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.3.0/24"), netip.MustParsePrefix("fd00:3::/64")},
	}
	plain := demoNetwork("n", "L2Bridge", nil)
	plain.HostMAC = ""
	wantPlain := emulator.NetworkSpec{
		Name: "n", Type: "L2Bridge", ManagementIP: netip.MustParseAddr("10.0.0.4"),
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")},
	}
	addrs := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	prefixes := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, got, addrs, prefixes) + cmp.Diff(wantPlain, plain, addrs, prefixes); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !strings.EqualFold(options.DefaultNetworkName(hnslb.NetworkOverlay), "vxlan0") {
		t.Error("an overlay is named like a bridge")
	}
}
