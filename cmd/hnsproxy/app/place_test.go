// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/place"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// listed is an emulator as an HNS that can list its networks.
type listed struct{ *emulator.Emulator }

// NetworkNames lists all networks.
func (l listed) NetworkNames(context.Context) ([]string, error) {
	var names []string
	for _, n := range l.State().Networks {
		names = append(names, n.Name)
	}
	return names, nil
}

// TestPlace: the only network for pods is found, however late it is made, and so is the
// source VIP, which starts the proxy anew.
func TestPlace(t *testing.T) {
	t.Parallel()
	e := emulator.New(emulator.Config{})
	r := start(t, func(o *Options, d *Deps) {
		o.HNS, o.Objects = HCN, []string{exampleDir}
		d.Driver = listed{e}
		listening := d.OnListen
		d.OnListen = func(name string, addr net.Addr) {
			listening(name, addr)
			if name == "healthz" && len(e.State().Networks) == 0 { // it is served without a network
				n := place.Demo("vxlan0", hnslb.NetworkOverlay, nil)
				_, err := e.AddNetwork(emulator.NetworkSpec{Name: n.Name, Type: n.Type, ManagementIP: n.ManagementIP, Subnets: n.Subnets, Remotes: n.Remotes})
				if err != nil {
					t.Error(err)
				}
			}
		}
	})
	missing := func(line string) bool { return strings.Contains(line, "SourceVIPMissing") }
	r.eventually("work on the network, without a source VIP", func() bool { return slices.ContainsFunc(r.frontends(), missing) })
	vip := hnslb.Endpoint{Name: "Calico_ep", IPs: []netip.Addr{netip.MustParseAddr("10.244.1.2")}}
	if _, err := e.AddForeignEndpoint("vxlan0", vip); err != nil {
		t.Fatal(err)
	}
	r.eventually("take the source VIP", func() bool {
		return slices.ContainsFunc(e.State().LoadBalancers, func(lb emulator.LoadBalancerState) bool {
			return lb.SourceVIP == vip.IPs[0]
		})
	})
}
