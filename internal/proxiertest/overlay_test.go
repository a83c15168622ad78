// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxiertest_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
)

// TestLawKeeperOnOverlay: what an overlay asks for before anything is written (law 15).
func TestLawKeeperOnOverlay(t *testing.T) {
	const first, second = "00-15-5D-00-00-04", "00-15-5D-00-00-14"
	host, source := netip.MustParseAddr("10.0.0.4"), sourceVIP
	for _, tc := range []struct {
		name string
		do   func(c *client)
		want []string
	}{
		{"in order", func(c *client) {
			c.overlayEndpoint(source, false, first, host)
			c.sourced(c.overlayEndpoint(remoteA, true, hnslb.RemoteMAC(remoteA), host))
		}, nil},
		{"no MAC", func(c *client) { c.overlayEndpoint(vip, true, "", host) }, []string{"law 15: CreateEndpoint 10.96.0.5: it has no MAC"}},
		{"no provider address", func(c *client) { c.overlayEndpoint(vip, true, first, netip.Addr{}) },
			[]string{"law 15: CreateEndpoint 10.96.0.5: it has no provider address"}},
		{"load balancer before its source VIP", func(c *client) {
			c.sourced(c.overlayEndpoint(remoteA, true, hnslb.RemoteMAC(remoteA), host))
		}, []string{"law 15: CreateLoadBalancer 10.96.0.5:80/TCP: the endpoint of its source VIP comes after it"}},
		{"another source needs none", func(c *client) {
			lb := balancer(c.overlayEndpoint(remoteA, true, hnslb.RemoteMAC(remoteA), host))
			lb.SourceVIP = host
			c.create(lb)
		}, nil},
		{"what was made with the host's former MAC goes", func(c *client) {
			id := c.overlayEndpoint(vip, true, first, host)
			_ = c.hns.SetHost("pods", host, second)
			_, _ = c.Network(context.Background(), "pods")
			c.dropEndpoint(id)
		}, nil},
		{"what another MAC has does not", func(c *client) { c.dropEndpoint(c.overlayEndpoint(vip, true, second, host)) },
			[]string{"law 7: DeleteEndpoint 10.96.0.5: its MAC"}},
		{"the source VIP that HNS gave a name", func(c *client) { c.dropEndpoint(c.overlayEndpoint(source, false, first, host)) }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := profiles.WS2025()
				p.Quirks.DefaultNameV1, p.Quirks.DefaultNameV2 = true, true
				hns := emulator.New(emulator.Config{Profile: p})
				if _, err := hns.AddNetwork(emulator.NetworkSpec{Name: "pods", Type: hnslb.NetworkOverlay, ManagementIP: host, HostMAC: first}); err != nil {
					t.Fatal(err)
				}
				c := &client{LawKeeper: proxiertest.NewLawKeeper(hns, proxiertest.Options{Network: "pods", SourceVIP: source}), hns: hns}
				c.net, _ = c.Network(context.Background(), "pods")
				c.list()
				<-time.After(time.Second) // nothing is on its way
				tc.do(c)
				if broken := c.Broken(); !slices.EqualFunc(broken, tc.want, strings.HasPrefix) {
					t.Errorf("breaches %q, want %q", broken, tc.want)
				}
			})
		})
	}
}

func (c *client) overlayEndpoint(ip netip.Addr, remote bool, mac string, provider netip.Addr) hnslb.ID {
	e, _ := c.CreateEndpoint(context.Background(), hnslb.Endpoint{
		Network: c.net.ID, IPs: []netip.Addr{ip}, MAC: mac, Remote: remote, ProviderAddress: provider,
	})
	return e.ID
}

// sourced makes a load balancer with the source VIP.
func (c *client) sourced(id hnslb.ID) {
	lb := balancer(id)
	lb.SourceVIP = sourceVIP
	c.create(lb)
}
