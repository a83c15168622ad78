// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"pgregory.net/rapid"
)

// TestIncrementalEqualsFromScratch: a state that saw every change holds what a state
// holds that only saw the last one of each Service, and its index is what it would be if
// it were computed again (law 5).
func TestIncrementalEqualsFromScratch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state, last := NewState(), map[services.Name][]*Frontend{}
		for range rapid.IntRange(1, 60).Draw(t, "changes") {
			name := services.Name{Namespace: "ns", Name: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "service")}
			fs := someFrontends(t, name)
			before := snapshot(state)
			changes := state.Set(name, fs)
			last[name] = fs
			if err := state.CheckIndex(); err != nil {
				t.Fatal(err)
			}
			checkChanges(t, before, state, changes)
		}
		scratch := NewState()
		for _, name := range slices.SortedFunc(maps.Keys(last), services.CompareNames) {
			scratch.Set(name, last[name])
		}
		if diff := cmp.Diff(snapshot(scratch), snapshot(state)); diff != "" {
			t.Fatalf("state differs from one made from scratch (-scratch +incremental):\n%s", diff)
		}
	})
}

// checkChanges holds Set to its report: every key that changed is named, and so is every
// address that nobody lists any more.
func checkChanges(t *rapid.T, before map[string]string, state *State, c Changes) {
	after := snapshot(state)
	named := map[string]bool{}
	for _, k := range c.Frontends {
		named[k.String()] = true
	}
	for _, ip := range c.Unused {
		if state.Wanted(ip) {
			t.Fatalf("%s is reported unused and is wanted", ip)
		}
		named[ip.String()] = true
	}
	for _, ip := range c.Reassigned {
		named[ip.String()+" owned"] = true
	}
	for k, v := range before {
		_, isAddress := netip.ParseAddr(k)
		if after[k] != v && !named[k] && (isAddress != nil || after[k] == "") {
			t.Fatalf("%s changed from %q to %q and is not reported", k, v, after[k])
		}
	}
	for k := range after {
		if _, isAddress := netip.ParseAddr(k); before[k] == "" && isAddress != nil && !named[k] {
			t.Fatalf("%s is new and is not reported", k)
		}
	}
}

// snapshot prints what a state answers: the winner of each frontend, the role of each
// address.
func snapshot(s *State) map[string]string {
	out := map[string]string{}
	for k := range s.Keys {
		f := s.Frontend(k)
		out[k.String()] = fmt.Sprint(f.Service, f.InternalPort, f.Backends)
	}
	for ip := range s.owners {
		out[ip.String()+" owned"] = "by a Service"
	}
	for ip := range s.users {
		out[ip.String()] = fmt.Sprint("role ", s.Role(ip))
	}
	return out
}

// someFrontends draws frontends from few keys and addresses, so that Services collide.
func someFrontends(t *rapid.T, name services.Name) []*Frontend {
	created := time.Unix(int64(rapid.IntRange(0, 2).Draw(t, "created")), 0)
	ports := rapid.SliceOfNDistinct(rapid.Uint16Range(80, 83), 0, 3, rapid.ID).Draw(t, "ports")
	var out []*Frontend
	for _, p := range ports {
		f := &Frontend{
			Key:     hnslb.FrontendKey{Family: hnslb.IPv4, VIP: netip.MustParseAddr("10.96.0.1"), Protocol: hnslb.TCP, Port: p},
			Service: name,
			Created: created,
			Kind:    rapid.SampledFrom([]Kind{ClusterIP, ExternalIP, IngressIP}).Draw(t, "kind"),
			OwnsVIP: rapid.Bool().Draw(t, "owns vip"),
		}
		if rapid.Bool().Draw(t, "a VIP that is also a backend") {
			f.Key.VIP = netip.AddrFrom4([4]byte{10, 244, 0, byte(1 + p%2)})
		}
		f.VIPEndpoint = f.OwnsVIP && rapid.Bool().Draw(t, "vip endpoint")
		hosts := rapid.SliceOfNDistinct(rapid.IntRange(1, 6), 0, 5, rapid.ID).Draw(t, "hosts")
		slices.Sort(hosts)
		for _, h := range hosts {
			ip := netip.AddrFrom4([4]byte{10, 244, 0, byte(h)})
			f.Backends = append(f.Backends, Backend{IP: ip, Local: rapid.Bool().Draw(t, "local")})
		}
		f.InternalPort = rapid.Uint16Range(8080, 8081).Draw(t, "target")
		out = append(out, f)
	}
	return out
}
