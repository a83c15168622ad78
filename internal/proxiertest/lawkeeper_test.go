// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxiertest_test

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
)

var (
	vip       = netip.MustParseAddr("10.96.0.5")
	podIP     = netip.MustParseAddr("10.244.1.5")
	remoteA   = netip.MustParseAddr("10.244.2.7")
	remoteB   = netip.MustParseAddr("10.244.2.8")
	sourceVIP = netip.MustParseAddr("10.244.1.2")
)

// client makes calls as a proxy would, through a LawKeeper in front of an emulator.
type client struct {
	*proxiertest.LawKeeper
	t   *testing.T
	hns *emulator.Emulator
	net hnslb.Network
	// pod and other are endpoints that somebody else made: a pod's, and one on a network
	// that is not ours.
	pod, other hnslb.Endpoint
}

// later lets a moment pass: what came out before it is known from then on.
func later() { <-time.After(time.Millisecond) }

func newClient(t *testing.T, p profiles.Profile) *client {
	t.Helper()
	c := &client{t: t, hns: emulator.New(emulator.Config{Profile: p})}
	for _, name := range []string{"pods", "other"} {
		if _, err := c.hns.AddNetwork(emulator.NetworkSpec{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if c.pod, err = c.hns.AddLocalEndpoint("pods", podIP); err != nil {
		t.Fatal(err)
	}
	remote := hnslb.Endpoint{IPs: []netip.Addr{remoteA}, MAC: hnslb.RemoteMAC(remoteA), Remote: true}
	if c.other, err = c.hns.AddForeignEndpoint("other", remote); err != nil {
		t.Fatal(err)
	}
	c.LawKeeper = proxiertest.NewLawKeeper(c.hns, proxiertest.Options{Network: "pods", SourceVIP: sourceVIP})
	ctx := context.Background()
	if _, err := c.Features(ctx); err != nil {
		t.Fatal(err)
	}
	if c.net, err = c.Network(ctx, "pods"); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *client) list() {
	ctx := context.Background()
	_, _ = c.LoadBalancers(ctx) // what fails does not count as listed
	_, _ = c.Endpoints(ctx)
}

func (c *client) endpoint(ip netip.Addr) hnslb.ID {
	e, _ := c.CreateEndpoint(context.Background(), hnslb.Endpoint{
		Network: c.net.ID, IPs: []netip.Addr{ip}, MAC: hnslb.RemoteMAC(ip), Remote: true,
	})
	return e.ID
}

func balancer(to ...hnslb.ID) hnslb.LoadBalancer {
	return hnslb.LoadBalancer{
		Endpoints: to, VIPs: []netip.Addr{vip}, Flags: hnslb.DSR,
		Mappings: []hnslb.PortMapping{{Protocol: hnslb.TCP, InternalPort: 8080, ExternalPort: 80}},
	}
}

func (c *client) create(lb hnslb.LoadBalancer) hnslb.ID {
	made, _ := c.CreateLoadBalancer(context.Background(), lb)
	return made.ID
}

func (c *client) update(id hnslb.ID, lb hnslb.LoadBalancer) {
	lb.ID = id
	_, _ = c.UpdateLoadBalancer(context.Background(), lb)
}

func (c *client) drop(id hnslb.ID)         { _ = c.DeleteLoadBalancer(context.Background(), id) }
func (c *client) dropEndpoint(id hnslb.ID) { _ = c.DeleteEndpoint(context.Background(), id) }

// TestLawKeeper: each breach is noted once, and what only looks like one is not.
func TestLawKeeper(t *testing.T) {
	old, now := profiles.WS2022(), profiles.WS2025()
	for _, tc := range []struct {
		name    string
		profile profiles.Profile
		do      func(c *client)
		want    string
	}{
		{"lawful life", now, func(c *client) {
			c.list()
			a, b := c.endpoint(remoteA), c.endpoint(remoteB)
			lb := c.create(balancer(a, c.pod.ID))
			c.update(lb, balancer(b, c.pod.ID))
			c.dropEndpoint(a)
			c.drop(lb)
			c.dropEndpoint(b)
		}, ""},
		{"made anew where HNS cannot modify", old, func(c *client) {
			c.list()
			a, b := c.endpoint(remoteA), c.endpoint(remoteB)
			c.drop(c.create(balancer(a)))
			c.create(balancer(a, b))
		}, ""},
		{"made anew as it was", old, func(c *client) {
			c.list()
			a := c.endpoint(remoteA)
			c.drop(c.create(balancer(a)))
			c.create(balancer(a))
		}, "law 1: CreateLoadBalancer 10.96.0.5:80/TCP: it was deleted and made again as it was"},
		{"made anew where HNS can", now, func(c *client) {
			c.list()
			a, b := c.endpoint(remoteA), c.endpoint(remoteB)
			c.drop(c.create(balancer(a)))
			c.create(balancer(a, b))
		}, "law 8: CreateLoadBalancer 10.96.0.5:80/TCP: it was deleted and made again, where a change in place would do"},
		{"made anew since a UDP backend goes", now, func(c *client) {
			c.list()
			a, b := c.endpoint(remoteA), c.endpoint(remoteB)
			before, after := balancer(a, b), balancer(b)
			before.Mappings[0].Protocol, after.Mappings[0].Protocol = hnslb.UDP, hnslb.UDP
			c.drop(c.create(before))
			c.create(after)
		}, ""},
		{"made anew for a flag", now, func(c *client) {
			c.list()
			a := c.endpoint(remoteA)
			c.drop(c.create(balancer(a)))
			lb := balancer(a)
			lb.Flags = 0
			c.create(lb)
		}, ""},
		{"made anew since modify lies", now, func(c *client) {
			c.list()
			a, b := c.endpoint(remoteA), c.endpoint(remoteB)
			lb := c.create(balancer(a))
			c.hns.SetFaults(profiles.Faults{ModifyLies: true})
			c.update(lb, balancer(a, b))
			c.drop(lb)
			c.create(balancer(a, b))
		}, ""},
		{"made anew before its endpoint", old, func(c *client) {
			c.list()
			a := c.endpoint(remoteA)
			c.drop(c.create(balancer(a)))
			c.create(balancer(c.endpoint(remoteB)))
		}, "law 8: CreateLoadBalancer 10.96.0.5:80/TCP: it was deleted 2 writes ago"},
		{"made anew when its endpoint could be had at last", now, func(c *client) {
			c.list()
			lb := c.create(balancer(c.endpoint(remoteA)))
			c.hns.FailNext(hnslb.VerbCreateEndpoint, 1, hnslb.ResultInvalidArgument)
			c.endpoint(remoteB)
			c.drop(lb)
			c.hns.FailNext(hnslb.VerbCreateEndpoint, 1, hnslb.ResultInvalidArgument)
			c.endpoint(remoteB)
			c.create(balancer(c.endpoint(remoteB)))
		}, ""},
		{"made anew too late", old, func(c *client) {
			c.list()
			a := c.endpoint(remoteA)
			c.drop(c.create(balancer(a)))
			b := c.endpoint(remoteB)
			c.create(balancer(a, b))
		}, "law 8: CreateLoadBalancer 10.96.0.5:80/TCP: it was deleted 2 writes ago"},
		{"made anew after a change", old, func(c *client) {
			c.list()
			a := c.endpoint(remoteA)
			c.drop(c.create(balancer(a)))
			b := c.endpoint(remoteB)
			c.Changed(true)
			c.create(balancer(a, b))
		}, ""},
		{"made anew since the next create failed", old, func(c *client) {
			c.list()
			a, b := c.endpoint(remoteA), c.endpoint(remoteB)
			c.drop(c.create(balancer(a)))
			c.hns.FailNext(hnslb.VerbCreateLoadBalancer, 1, hnslb.ResultInvalidArgument)
			c.create(balancer(a, b))
			c.dropEndpoint(c.endpoint(netip.MustParseAddr("10.244.2.9")))
			c.create(balancer(a, b))
		}, ""},
		{"made anew since its endpoint had to make room", now, func(c *client) {
			c.list()
			a := c.endpoint(remoteA)
			c.drop(c.create(balancer(a)))
			c.dropEndpoint(a)
			c.create(balancer(c.endpoint(remoteA)))
		}, ""},
		{"endpoint deleted under a load balancer", now, func(c *client) {
			c.list()
			a := c.endpoint(remoteA)
			c.create(balancer(a))
			c.dropEndpoint(a)
		}, "law 8: DeleteEndpoint 10.244.2.7: load balancer 10.96.0.5:80/TCP names it"},
		{"names an endpoint that it deleted", now, func(c *client) {
			c.list()
			a := c.endpoint(remoteA)
			c.dropEndpoint(a)
			c.create(balancer(a))
		}, "law 8: CreateLoadBalancer 10.96.0.5:80/TCP: it names endpoint"},
		{"names an endpoint that somebody deleted", now, func(c *client) {
			c.list()
			a := c.endpoint(remoteA)
			if err := c.hns.DeleteBehind(a); err != nil {
				c.t.Fatal(err)
			}
			c.create(balancer(a))
		}, ""},
		{"names an endpoint twice", now, func(c *client) {
			c.list()
			c.create(balancer(c.pod.ID, c.pod.ID))
		}, "law 12: CreateLoadBalancer 10.96.0.5:80/TCP: it names endpoint 10.244.1.5 twice"},
		{"names an endpoint of another network", now, func(c *client) {
			c.list()
			c.create(balancer(c.other.ID))
		}, "law 7: CreateLoadBalancer 10.96.0.5:80/TCP: it names endpoint 10.244.2.7 of another network"},
		{"no endpoints", now, func(c *client) {
			c.list()
			c.create(balancer())
		}, "law 12: CreateLoadBalancer 10.96.0.5:80/TCP: no endpoints"},
		{"no VIP", now, func(c *client) {
			c.list()
			lb := balancer(c.pod.ID)
			lb.VIPs = nil
			c.create(lb)
		}, "law 12: CreateLoadBalancer 0.0.0.0:80/TCP: no VIP"},
		{"VIP of zeroes", now, func(c *client) {
			c.list()
			lb := balancer(c.pod.ID)
			lb.VIPs = []netip.Addr{netip.IPv4Unspecified()}
			c.create(lb)
		}, "law 12: CreateLoadBalancer 0.0.0.0:80/TCP: VIP 0.0.0.0"},
		{"two VIPs", now, func(c *client) {
			c.list()
			lb := balancer(c.pod.ID)
			lb.VIPs = append(lb.VIPs, remoteB)
			c.create(lb)
		}, "law 12: CreateLoadBalancer load balancer without a single frontend: 1 mappings and 2 VIPs"},
		{"node port", now, func(c *client) {
			c.list()
			lb := balancer(c.pod.ID)
			lb.VIPs = nil
			lb.Mappings[0].Flags = hnslb.LocalRoutedVIP | hnslb.VIPExternal
			c.create(lb)
		}, ""},
		{"strange flag", now, func(c *client) {
			c.list()
			lb := balancer(c.pod.ID)
			lb.Mappings[0].Flags = hnslb.ILB
			c.create(lb)
		}, "law 4: CreateLoadBalancer 10.96.0.5:80/TCP: flags"},
		{"frontend of another load balancer", now, func(c *client) {
			c.list()
			c.create(balancer(c.pod.ID))
			c.create(balancer(c.endpoint(remoteA)))
		}, "law 7: CreateLoadBalancer 10.96.0.5:80/TCP: load balancer"},
		{"update that changes nothing", now, func(c *client) {
			c.list()
			c.update(c.create(balancer(c.pod.ID)), balancer(c.pod.ID))
		}, "law 1: UpdateLoadBalancer 10.96.0.5:80/TCP: it changes nothing"},
		{"update of a flag", now, func(c *client) {
			c.list()
			lb := balancer(c.pod.ID)
			id := c.create(lb)
			lb.Flags = 0
			c.update(id, lb)
		}, "law 8: UpdateLoadBalancer 10.96.0.5:80/TCP: more than"},
		{"local endpoint deleted", now, func(c *client) {
			c.list()
			c.dropEndpoint(c.pod.ID)
		}, "law 10: DeleteEndpoint 10.244.1.5: it is local"},
		{"local endpoint made", now, func(c *client) {
			c.list()
			_, _ = c.CreateEndpoint(context.Background(), hnslb.Endpoint{Network: c.net.ID, IPs: []netip.Addr{remoteB}})
		}, "law 10: CreateEndpoint 10.244.2.8: local endpoints belong to the network plugin"},
		{"source VIP made", now, func(c *client) {
			c.list()
			_, _ = c.CreateEndpoint(context.Background(), hnslb.Endpoint{Network: c.net.ID, IPs: []netip.Addr{sourceVIP}})
		}, ""},
		{"remote endpoint beside a local one", now, func(c *client) {
			c.list()
			<-time.After(50 * time.Millisecond) // no call is on its way any more
			c.endpoint(podIP)
		}, "law 10: CreateEndpoint 10.244.1.5: endpoint"},
		{"endpoint of another network deleted", now, func(c *client) {
			c.list()
			c.dropEndpoint(c.other.ID)
		}, "law 7: DeleteEndpoint 10.244.2.7: it is on another network"},
		{"foreign load balancer deleted", now, func(c *client) {
			lb := balancer(c.other.ID)
			foreign, err := c.hns.AddForeignLoadBalancer(lb)
			if err != nil {
				c.t.Fatal(err)
			}
			c.list()
			c.drop(foreign.ID)
		}, "law 7: DeleteLoadBalancer 10.96.0.5:80/TCP: it names endpoint 10.244.2.7 of another network"},
		{"created where a list showed a foreign one", now, func(c *client) {
			lb := balancer(c.other.ID)
			if _, err := c.hns.AddForeignLoadBalancer(lb); err != nil {
				c.t.Fatal(err)
			}
			c.list()
			<-time.After(50 * time.Millisecond) // no call is on its way any more
			_, _ = c.CreateLoadBalancer(context.Background(), balancer(c.pod.ID))
		}, "law 7: CreateLoadBalancer 10.96.0.5:80/TCP: load balancer"},
		{"half-made load balancer deleted", now, func(c *client) {
			half, err := c.hns.AddForeignLoadBalancer(hnslb.LoadBalancer{VIPs: []netip.Addr{vip}, Endpoints: []hnslb.ID{c.pod.ID}})
			if err != nil {
				c.t.Fatal(err)
			}
			c.list()
			c.drop(half.ID)
		}, ""},
		{"half-made load balancer of somebody else deleted", now, func(c *client) {
			half, err := c.hns.AddForeignLoadBalancer(hnslb.LoadBalancer{VIPs: []netip.Addr{vip}, Endpoints: []hnslb.ID{c.pod.ID}, Flags: 4})
			if err != nil {
				c.t.Fatal(err)
			}
			c.list()
			c.drop(half.ID)
		}, "law 7: DeleteLoadBalancer "},
		{"deleted from thin air", now, func(c *client) {
			c.list()
			c.drop("no-such-id")
			c.Changed(true)
		}, "law 6: DeleteLoadBalancer no-such-id: no list"},
		{"wrote before it listed", now, func(c *client) {
			c.endpoint(remoteA)
		}, "law 7: CreateEndpoint 10.244.2.7: HNS was not listed before"},
		{"wrote in doubt", now, func(c *client) {
			c.list()
			c.hns.LoseAnswers(hnslb.VerbCreateEndpoint, 1)
			c.endpoint(remoteA)
			later()
			c.endpoint(remoteA)
		}, "law 6: CreateEndpoint 10.244.2.7: what became of an earlier call is unknown"},
		{"wrote something else in doubt", now, func(c *client) {
			c.list()
			c.hns.LoseAnswers(hnslb.VerbCreateEndpoint, 1)
			c.endpoint(remoteA)
			later()
			c.endpoint(remoteB)
		}, ""},
		{"listed in doubt", now, func(c *client) {
			c.list()
			c.hns.LoseAnswers(hnslb.VerbCreateEndpoint, 1)
			c.endpoint(remoteA)
			c.list()
			c.endpoint(remoteB)
		}, ""},
		{"an old list came after a new one", now, func(c *client) {
			c.list()
			a, b := c.endpoint(remoteA), c.endpoint(remoteB)
			lb := c.create(balancer(a))
			var lists sync.WaitGroup
			slow := func(take time.Duration) {
				c.hns.SetFaults(profiles.Faults{ListsTake: take})
				lists.Go(func() { _, _ = c.LoadBalancers(context.Background()) })
				synctest.Wait()
			}
			slow(3 * time.Second)
			c.update(lb, balancer(b)) // of which the first list says nothing
			slow(time.Second)
			if err := c.hns.DeleteBehind(lb); err != nil {
				c.t.Error(err)
			}
			lists.Wait()
			c.hns.SetFaults(profiles.Faults{})
			_, _ = c.Endpoints(context.Background())
			later()
			c.create(balancer(b))
		}, ""},
		{"a list showed a load balancer that made room meanwhile", old, func(c *client) {
			c.list()
			a := c.endpoint(remoteA)
			old, err := c.hns.AddForeignLoadBalancer(balancer(a))
			if err != nil {
				c.t.Error(err)
			}
			c.hns.SetFaults(profiles.Faults{ListsTake: time.Second, ListsShowStart: true})
			var lists sync.WaitGroup
			lists.Go(c.list)
			synctest.Wait()
			if err := c.hns.DeleteBehind(old.ID); err != nil {
				c.t.Error(err)
			}
			lb := c.create(balancer(a))
			lists.Wait()
			<-time.After(time.Second)
			c.drop(lb)
			c.create(balancer(c.pod.ID))
		}, ""},
		{"listed while its address was written in vain", now, func(c *client) {
			c.list()
			c.hns.SetFaults(profiles.Faults{WritesTake: 2 * time.Second})
			c.hns.FailNext(hnslb.VerbCreateEndpoint, 1, hnslb.ResultInvalidArgument)
			var write sync.WaitGroup
			write.Go(func() { c.endpoint(remoteA) })
			synctest.Wait()
			if _, err := c.hns.AddLocalEndpoint("pods", remoteA); err != nil {
				c.t.Error(err)
			}
			c.list()
			write.Wait()
			<-time.After(time.Second)
			c.endpoint(remoteA) // the list said nothing of it
		}, ""},
		{"listed again after its address was written in vain", now, func(c *client) {
			c.list()
			c.hns.FailNext(hnslb.VerbCreateEndpoint, 1, hnslb.ResultInvalidArgument)
			c.endpoint(remoteA)
			if _, err := c.hns.AddLocalEndpoint("pods", remoteA); err != nil {
				c.t.Error(err)
			}
			c.list()
			<-time.After(time.Second)
			c.endpoint(remoteA)
		}, "law 10: CreateEndpoint 10.244.2.7: endpoint "},
		{"listed half in doubt", now, func(c *client) {
			c.list()
			c.hns.LoseAnswers(hnslb.VerbCreateEndpoint, 1)
			c.endpoint(remoteA)
			_, _ = c.LoadBalancers(context.Background())
			later()
			c.endpoint(remoteA)
		}, "law 6: CreateEndpoint 10.244.2.7: what became of an earlier call is unknown"},
		{"wrote in the instant of the doubt: on its way already", now, func(c *client) {
			c.list()
			c.hns.LoseAnswers(hnslb.VerbCreateEndpoint, 1)
			c.endpoint(remoteA)
			c.endpoint(remoteB)
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, tc.profile)
				tc.do(c)
				broken := c.Broken()
				switch {
				case tc.want == "" && len(broken) > 0, tc.want != "" && len(broken) != 1:
					t.Errorf("breaches:\n%s\nwant one: %q", strings.Join(broken, "\n"), tc.want)
				case tc.want != "" && !strings.HasPrefix(broken[0], tc.want):
					t.Errorf("breach %q, want %q", broken[0], tc.want)
				}
			})
		})
	}
}
