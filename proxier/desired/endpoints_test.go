// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// parseCandidates reads endpoints as "NAME[:FLAGS]" words: a letter names the address
// (a is 10.0.0.1), flags are R ready, S serving, T terminating, L local, z1/z2 zone hint,
// n1/n2 node hint, joined by +.
func parseCandidates(t *testing.T, text string) []candidate {
	t.Helper()
	var out []candidate
	for word := range strings.FieldsSeq(text) {
		name, flags, _ := strings.Cut(word, ":")
		c := candidate{Endpoint: services.Endpoint{IP: netip.AddrFrom4([4]byte{10, 0, 0, name[0] - 'a' + 1})}, port: 80}
		for flag := range strings.SplitSeq(flags, "+") {
			switch flag {
			case "R":
				c.Ready, c.Serving = true, true
			case "S":
				c.Serving = true
			case "T":
				c.Terminating = true
			case "L":
				c.local = true
			case "z1", "z2":
				c.Zones = flag
			case "n1", "n2":
				c.Nodes = flag
			case "":
			default:
				t.Fatalf("unknown flag %q in %q", flag, word)
			}
		}
		out = append(out, c)
	}
	return out
}

func names(cs []candidate) string {
	var b strings.Builder
	for _, c := range cs {
		b.WriteByte(c.IP.As4()[3] - 1 + 'a')
	}
	return b.String()
}

// TestChoose holds the rules of endpoint choice, each by its KEP.
func TestChoose(t *testing.T) {
	node := services.Node{Name: "n1", Zone: "z1"}
	for _, tc := range []struct {
		name, endpoints, cluster, local string
	}{
		{"none", "", "", ""},
		{"ready ones", "a:R b:R+L", "ab", "b"},
		{"not ready ones are left out", "a:R b: c:S", "a", ""},
		{"KEP-1669: draining ones when no other is ready", "a:S+T b:T c:", "a", ""},
		{"KEP-1669: not while one is ready", "a:S+T b:R", "b", ""},
		{"KEP-1669: local falls back on its own", "a:R b:S+T+L", "a", "b"},
		{"KEP-1669: serving but not terminating does not count", "a:S", "", ""},
		{"KEP-2433: hints for our zone", "a:R+z1 b:R+z2", "a", ""},
		{"KEP-2433: one ready endpoint without a hint turns hints off", "a:R+z1 b:R", "ab", ""},
		{"KEP-2433: no hint for our zone turns hints off", "a:R+z2 b:R+z2", "ab", ""},
		{"KEP-2433: an endpoint that is not ready needs no hint", "a:R+z1 b:R+z2 c:S+T", "a", ""},
		{"KEP-2433: draining ones are taken whatever their hints", "a:S+T+z2 b:S+T+z1", "ab", ""},
		{"KEP-2433: local ones are taken whatever their hints", "a:R+L+z2 b:R+z1", "b", "a"},
		{"KEP-3015: hints for our node outrank those for our zone", "a:R+n1+z1 b:R+n2+z1", "a", ""},
		{"KEP-3015: no hint for our node leaves the zone", "a:R+n2+z1 b:R+n2+z2", "a", ""},
		{"KEP-3015: not all have node hints", "a:R+n1+z1 b:R+z1 c:R+z2", "ab", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := selectEndpoints(parseCandidates(t, tc.endpoints), node)
			if diff := cmp.Diff([]string{tc.cluster, tc.local}, []string{names(got.cluster), names(got.local)}); diff != "" {
				t.Errorf("cluster, local (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a node without a zone ignores zone hints", func(t *testing.T) {
		if got := names(selectEndpoints(parseCandidates(t, "a:R+z1 b:R+z2"), services.Node{Name: "n9"}).cluster); got != "ab" {
			t.Errorf("got %s", got)
		}
	})
}

// TestCandidates: of one address that slices show in several states, one counts, whichever
// slice comes first.
func TestCandidates(t *testing.T) {
	for _, tc := range []struct{ name, a, b string }{
		{"ready before not ready", "a:R", "a:"},
		{"draining before going down", "a:S+T", "a:T"},
		{"this node before others", "a:R+L", "a:R"},
		{"ready before this node", "a:R", "a:L"},
		{"a pod that starts on the address of one that drains", "a:", "a:S+T"},
		{"the same, both published while not ready", "a:R", "a:R+T+L"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := parseCandidates(t, tc.a)[0]
			for _, order := range [][]string{{tc.a, tc.b}, {tc.b, tc.a}} {
				got := candidates(slicesOf(t, order), services.Port{Protocol: hnslb.TCP}, hnslb.IPv4, services.Node{Name: "n1"})
				if len(got) != 1 || got[0].Ready != want.Ready || got[0].Terminating != want.Terminating || got[0].local != want.local {
					t.Errorf("of %v counts %+v", order, got)
				}
			}
		})
	}
}

// slicesOf makes a slice of each text of parseCandidates; local ones are on node n1.
func slicesOf(t *testing.T, texts []string) services.Input {
	t.Helper()
	var in services.Input
	for _, text := range texts {
		s := &services.Slice{Family: hnslb.IPv4, Ports: []services.SlicePort{{Protocol: hnslb.TCP, Port: 80}}}
		for _, c := range parseCandidates(t, text) {
			if c.local {
				c.Node = "n1"
			}
			s.Endpoints = append(s.Endpoints, c.Endpoint)
		}
		in.Slices = append(in.Slices, s)
	}
	return in
}

func TestHinted(t *testing.T) {
	for _, tc := range []struct {
		hints, name string
		want        bool
	}{
		{"z1,z2", "z2", true}, {"z10", "z1", false}, {"z1", "z10", false}, {"", "", false}, {"z1", "", false},
	} {
		if got := hinted(tc.hints, tc.name); got != tc.want {
			t.Errorf("hinted(%q, %q) = %v", tc.hints, tc.name, got)
		}
	}
}

// TestGroup: of endpoints that disagree on the target port the largest group wins, the
// lowest port among equals, whatever their order.
func TestGroup(t *testing.T) {
	for _, tc := range []struct {
		ports []uint16
		want  string
	}{
		{nil, "[]"},
		{[]uint16{80, 80}, "[1:80 2:80]"},
		{[]uint16{90, 80, 90}, "[1:90 3:90]"},
		{[]uint16{90, 80}, "[2:80]"},
		{[]uint16{90, 80, 80, 90, 70}, "[2:80 3:80]"},
	} {
		var cs []candidate
		for i, p := range tc.ports {
			cs = append(cs, candidate{Endpoint: services.Endpoint{IP: netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})}, port: p})
		}
		got := []string{}
		for _, c := range withCommonPort(cs) {
			got = append(got, fmt.Sprintf("%d:%d", c.IP.As4()[3], c.port))
		}
		if got := fmt.Sprint(got); got != tc.want {
			t.Errorf("group(%v) = %s, want %s", tc.ports, got, tc.want)
		}
	}
}
