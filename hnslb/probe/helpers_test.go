// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

const networkName = "Calico"

// failer is a test, or a property test.
type failer interface {
	Helper()
	Fatal(args ...any)
	Errorf(format string, args ...any)
}

// node is an emulated node with objects of others.
type node struct {
	*emulator.Emulator
	before emulator.State
}

// newNode makes a node on which a proxy and a network plugin have worked, and others: load
// balancers that dangle, that were left half-made, and one on an address of documentation.
func newNode(t failer, profile profiles.Profile, networkType string) *node {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	quiet := profile
	quiet.Timings, quiet.Faults = nil, profiles.Faults{}
	e := emulator.New(emulator.Config{Profile: quiet})
	net, err := e.AddNetwork(emulator.NetworkSpec{
		Name: networkName, Type: networkType, ManagementIP: netip.MustParseAddr("10.0.0.4"),
		Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")},
	})
	must(err)
	pod, err := e.AddLocalEndpoint(networkName, netip.MustParseAddr("10.244.1.5"))
	must(err)
	remote := func(name, ip string) hnslb.Endpoint {
		made, err := e.CreateEndpoint(background(), hnslb.Endpoint{
			Network: net.ID, Name: name, IPs: []netip.Addr{netip.MustParseAddr(ip)}, Remote: true, MAC: "02-11-0a-f4-02-05",
		})
		must(err)
		return made
	}
	away, doomed, near := remote("", "10.244.2.5"), remote("", "10.244.2.6"), remote("Ethernet", "198.51.100.7")
	for i, lb := range []hnslb.LoadBalancer{
		{Endpoints: []hnslb.ID{pod.ID, away.ID}, VIPs: []netip.Addr{netip.MustParseAddr("10.96.0.10")}, Flags: hnslb.DSR},
		{Endpoints: []hnslb.ID{doomed.ID}, VIPs: []netip.Addr{netip.MustParseAddr("10.96.0.11")}},
		{Endpoints: []hnslb.ID{near.ID}},
		{Endpoints: []hnslb.ID{doomed.ID}},
	} {
		lb.Mappings = []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 80, ExternalPort: uint16(lowestPort + 20 + i)}}
		_, err := e.CreateLoadBalancer(background(), lb)
		must(err)
	}
	must(e.DeleteEndpoint(background(), doomed.ID))
	state := e.State()
	n := &node{emulator.New(emulator.Config{Profile: profile}), state}
	must(n.Restore(state))
	return n
}

// config is what probes the node.
func (n *node) config(dir string) Config {
	return Config{
		Driver: n, Network: networkName, Journal: filepath.Join(dir, "journal.json"), Sizes: []int{0, 3}, Quick: true, Rounds: 2,
		Listen: func(protocol hnslb.Protocol, port uint16) (func(), error) {
			n.Reserve(port, protocol)
			return func() { n.Release(port, protocol) }, nil
		},
	}
}

// wantUntouched fails when the node holds anything else than before.
func (n *node) wantUntouched(t failer) {
	t.Helper()
	now := n.State()
	now.Issued, now.LeakedPorts = n.before.Issued, n.before.LeakedPorts
	if diff := cmp.Diff(n.before, now, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("the probe changed what the node holds (-before +after):\n%s", diff)
	}
}

// find returns the finding of that name.
func (r *Report) find(t *testing.T, name string) Finding {
	t.Helper()
	for _, f := range r.Facts {
		if f.Fact == name {
			return f
		}
	}
	t.Fatalf("no fact is named %q", name)
	return Finding{}
}

func background() context.Context { return context.Background() }

func contextWithStop(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}
