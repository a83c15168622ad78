// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/hnslb/vfp"
)

// checkIndexes holds every index of the store equal to what the objects say.
func checkIndexes(s *store) error {
	locals := map[*network]int{}
	users := map[*endpoint]map[*loadBalancer]int{}
	for i, ep := range s.endpointOrder.items {
		if ep.getSlot() != i || s.endpoints[ep.id] != ep {
			return fmt.Errorf("endpoint %s is not where it should be", ep.id)
		}
		for _, ip := range ep.addrs() {
			if s.byIP.find(ip, func(x *endpoint) bool { return x == ep }) != ep {
				return fmt.Errorf("endpoint %s is not found by %s", ep.id, ip)
			}
		}
		if !ep.remote {
			locals[ep.net]++
		}
		users[ep] = map[*loadBalancer]int{}
	}
	frontends := map[hnslb.FrontendKey]*loadBalancer{}
	blocks := map[hnslb.Protocol]int{}
	for i, b := range s.balancerOrder.items {
		if b.getSlot() != i || s.balancers[b.ID] != b {
			return fmt.Errorf("load balancer %s is not where it should be", b.ID)
		}
		live := 0
		for _, id := range b.Endpoints {
			if ep := s.endpoints[id]; ep != nil {
				live++
				users[ep][b]++
			}
		}
		if live != b.live {
			return fmt.Errorf("load balancer %s has %d live endpoints, counts %d", b.ID, live, b.live)
		}
		for k := range vfp.Frontends(b.LoadBalancer) {
			frontends[k] = b
			if r := s.dark.records[k]; r != nil && (r.since == nil) != (live > 0 && !b.noRules) {
				return fmt.Errorf("the dark record of %s is wrong", k)
			}
		}
		for _, m := range b.Mappings {
			if b.Flags&hnslb.DSR == 0 {
				blocks[m.Protocol]++
			}
		}
	}
	return checkDerived(s, locals, users, frontends, blocks)
}

func checkDerived(
	s *store, locals map[*network]int, users map[*endpoint]map[*loadBalancer]int,
	frontends map[hnslb.FrontendKey]*loadBalancer, blocks map[hnslb.Protocol]int,
) error {
	if len(s.endpoints) != len(s.endpointOrder.items) || len(s.balancers) != len(s.balancerOrder.items) {
		return fmt.Errorf("maps and orders differ in length")
	}
	if !maps.Equal(frontends, s.frontends) {
		return fmt.Errorf("frontends: index %v, objects %v", s.frontends, frontends)
	}
	for _, n := range s.networks {
		if n.locals != locals[n] {
			return fmt.Errorf("network %s has %d local endpoints, counts %d", n.Name, locals[n], n.locals)
		}
	}
	for p, n := range s.ports.blocks {
		if n != blocks[p] {
			return fmt.Errorf("%s: %d port blocks, counted %d", p, blocks[p], n)
		}
	}
	indexed := 0
	for ip, ep := range s.byIP.first {
		indexed += 1 + len(s.byIP.more[ip])
		if !slices.Contains(ep.addrs(), ip) {
			return fmt.Errorf("%s is indexed under %s", ep.id, ip)
		}
	}
	for ep, want := range users {
		indexed -= len(ep.addrs())
		got := map[*loadBalancer]int{}
		for _, b := range ep.users {
			got[b]++
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("users of %s differ", ep.id)
		}
	}
	if indexed != 0 {
		return fmt.Errorf("%d addresses too many in the index", indexed)
	}
	return nil
}

// world draws random calls against an emulator: everything that can change its state.
type world struct {
	e *Emulator
	t *rapid.T
}

func (w world) addr() netip.Addr {
	n := byte(rapid.IntRange(2, 9).Draw(w.t, "host"))
	switch rapid.IntRange(0, 3).Draw(w.t, "range") {
	case 0:
		return netip.AddrFrom4([4]byte{10, 244, 1, n})
	case 1:
		return netip.AddrFrom4([4]byte{10, 244, 2, n})
	case 2:
		return netip.AddrFrom4([4]byte{10, 0, 0, n})
	}
	return netip.AddrFrom16([16]byte{0xfd, 15: n})
}

func (w world) network() string {
	return rapid.SampledFrom([]string{"Calico", "vx lan,=%"}).Draw(w.t, "network")
}

func (w world) endpoint() hnslb.Endpoint {
	ep := hnslb.Endpoint{
		IPs: []netip.Addr{w.addr()}, Remote: rapid.Bool().Draw(w.t, "remote"),
		Name: rapid.SampledFrom([]string{"", "a b", "x"}).Draw(w.t, "name"),
	}
	if rapid.Bool().Draw(w.t, "two addresses") {
		ep.IPs = append(ep.IPs, w.addr())
	}
	if rapid.Bool().Draw(w.t, "provider") {
		ep.ProviderAddress = netip.AddrFrom4([4]byte{10, 0, 0, 6})
	}
	return ep
}

// ids draws IDs of objects, some of which never were.
func (w world) ids(have []hnslb.ID, most int) []hnslb.ID {
	have = append(have, "00000000-0000-0000-0000-000000000bad")
	return rapid.SliceOfN(rapid.SampledFrom(have), 0, most).Draw(w.t, "ids")
}

func (w world) endpointIDs() (ids []hnslb.ID) {
	for _, ep := range w.e.store.endpointOrder.items {
		ids = append(ids, ep.id)
	}
	return ids
}

func (w world) balancerIDs() (ids []hnslb.ID) {
	for _, b := range w.e.store.balancerOrder.items {
		ids = append(ids, b.ID)
	}
	return ids
}

func (w world) balancer() hnslb.LoadBalancer {
	lb := hnslb.LoadBalancer{
		Endpoints: w.ids(w.endpointIDs(), 4),
		Flags:     hnslb.LoadBalancerFlags(rapid.IntRange(0, 19).Draw(w.t, "flags")),
	}
	for range rapid.IntRange(0, 2).Draw(w.t, "vips") {
		lb.VIPs = append(lb.VIPs, w.addr())
	}
	for range rapid.IntRange(0, 2).Draw(w.t, "mappings") {
		lb.Mappings = append(lb.Mappings, hnslb.PortMapping{
			Protocol:     rapid.SampledFrom([]hnslb.Protocol{hnslb.TCP, hnslb.UDP, 132}).Draw(w.t, "protocol"),
			InternalPort: uint16(rapid.IntRange(0, 3).Draw(w.t, "internal")),
			ExternalPort: uint16(rapid.IntRange(0, 3).Draw(w.t, "external")),
			Distribution: hnslb.Distribution(rapid.IntRange(0, 3).Draw(w.t, "distribution")),
			Flags:        hnslb.MappingFlags(rapid.IntRange(0, 63).Draw(w.t, "mapping flags")),
		})
	}
	if rapid.Bool().Draw(w.t, "source") {
		lb.SourceVIP = w.addr()
	}
	return lb
}

// steps returns the calls by name. Refusals are fine: the state must be right after them.
func (w world) steps() map[string]func(*rapid.T) {
	ctx := w.t.Context()
	return map[string]func(*rapid.T){
		"add network": func(*rapid.T) {
			_, _ = w.e.AddNetwork(NetworkSpec{
				Name: w.network(), Type: rapid.SampledFrom([]string{"L2Bridge", "Overlay", "NAT"}).Draw(w.t, "type"),
				ManagementIP: w.addr(), LoopbackDSR: rapid.Bool().Draw(w.t, "loopback"),
				Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00::/64")},
				Remotes: []hnslb.RemoteSubnet{{
					Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: netip.AddrFrom4([4]byte{10, 0, 0, 6}),
				}},
			})
		},
		"delete network":  func(*rapid.T) { _ = w.e.DeleteNetwork(w.network()) },
		"replace network": func(*rapid.T) { _, _ = w.e.ReplaceNetwork(w.network()) },
		"management IP":   func(*rapid.T) { _ = w.e.SetManagementIP(w.network(), w.addr()) },
		"add endpoint":    func(*rapid.T) { _, _ = w.e.AddForeignEndpoint(w.network(), w.endpoint()) },
		"delete endpoint": func(*rapid.T) {
			for _, id := range w.ids(w.endpointIDs(), 1) {
				_ = w.e.DeleteEndpoint(ctx, id)
			}
		},
		"detach":      func(*rapid.T) { _ = w.e.SetAttached(w.addr(), rapid.Bool().Draw(w.t, "attached")) },
		"create":      func(*rapid.T) { _, _ = w.e.CreateLoadBalancer(ctx, w.balancer()) },
		"add foreign": func(*rapid.T) { _, _ = w.e.AddForeignLoadBalancer(w.balancer()) },
		"update": func(*rapid.T) {
			for _, id := range w.ids(w.balancerIDs(), 1) {
				lb := w.balancer()
				if b := w.e.store.balancers[id]; b != nil {
					lb.VIPs, lb.Mappings, lb.Flags = b.VIPs, b.Mappings, b.Flags
				}
				lb.ID = id
				_, _ = w.e.UpdateLoadBalancer(ctx, lb)
			}
		},
		"delete": func(*rapid.T) {
			for _, id := range w.ids(w.balancerIDs(), 1) {
				_ = w.e.DeleteLoadBalancer(ctx, id)
			}
		},
		"faults": func(*rapid.T) {
			w.e.SetFaults(profiles.Faults{
				DeleteFailsOnce:  rapid.Bool().Draw(w.t, "delete fails once"),
				LeakPorts:        rapid.Bool().Draw(w.t, "leak"),
				HalfMade:         rapid.Bool().Draw(w.t, "half-made"),
				NoDataPath:       rapid.Bool().Draw(w.t, "no data path"),
				VanishDuringList: rapid.IntRange(0, 1).Draw(w.t, "vanish"),
			})
			_, _ = w.e.Endpoints(ctx)
			_, _ = w.e.LoadBalancers(ctx)
		},
		"reserve": func(*rapid.T) { w.e.Reserve(uint16(rapid.IntRange(0, 2).Draw(w.t, "port")), hnslb.TCP) },
		"restart": func(*rapid.T) {
			w.e.Restart(RestartOptions{
				LoseLoadBalancers: rapid.IntRange(0, 5).Draw(w.t, "lose load balancers") == 0,
				LoseEndpoints:     rapid.IntRange(0, 5).Draw(w.t, "lose endpoints") == 0,
			})
		},
	}
}

// TestRandomCalls makes random calls and after each holds the indexes equal to the
// objects; at the end both forms of the state must read back as what they were.
func TestRandomCalls(t *testing.T) {
	for _, profile := range profiles.All() {
		t.Run(profile.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				w := world{New(Config{Profile: profile, Seed: 7}), t}
				steps := w.steps()
				steps["add network"](t)
				steps[""] = func(t *rapid.T) {
					if err := checkIndexes(w.e.store); err != nil {
						t.Fatal(err)
					}
				}
				t.Repeat(steps)
				checkTextRoundTrip(t, w.e)
				checkStateRoundTrip(t, w.e)
			})
		})
	}
}

func checkTextRoundTrip(t *rapid.T, e *Emulator) {
	text := e.Dump()
	st, err := ParseDump(strings.NewReader(text))
	if err != nil {
		t.Fatalf("ParseDump of what Dump wrote: %v\n%s", err, text)
	}
	again := New(Config{Profile: e.profile})
	if err := again.Restore(st); err != nil {
		t.Fatalf("Restore of a parsed dump: %v\n%s", err, text)
	}
	if diff := cmp.Diff(text, again.Dump()); diff != "" {
		t.Fatalf("the dump reads back differently (-want +got):\n%s", diff)
	}
}

func checkStateRoundTrip(t *rapid.T, e *Emulator) {
	var file bytes.Buffer
	want := e.State()
	if err := want.Write(&file); err != nil {
		t.Fatal(err)
	}
	st, err := ReadState(&file)
	if err != nil {
		t.Fatal(err)
	}
	again := New(Config{Profile: e.profile})
	if err := again.Restore(st); err != nil {
		t.Fatal(err)
	}
	opts := []cmp.Option{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})}
	if diff := cmp.Diff(want, again.State(), opts...); diff != "" {
		t.Fatalf("the state reads back differently (-want +got):\n%s", diff)
	}
	if err := checkIndexes(again.store); err != nil {
		t.Fatal(err)
	}
}
