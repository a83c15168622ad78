// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// TestNodePortAddresses holds the meaning of --nodeport-addresses, which is that of
// kube-proxy 1.36.
func TestNodePortAddresses(t *testing.T) {
	dual := services.Node{IPs: addrs("10.0.0.4", "fd00:10::4")}
	for _, tc := range []struct {
		name    string
		values  string
		node    services.Node
		in, out string
		all     string
	}{
		{"not given", "", dual, "10.0.0.4 192.168.1.1 127.0.0.1 fd00::1", "", "IPv4 IPv6"},
		{"one range", "10.0.0.0/8", dual, "10.0.0.4 fd00::1", "192.168.1.1", "IPv6"},
		{"both families", "10.0.0.0/8,fd00::/16", dual, "10.0.0.4 fd00::1", "192.168.1.1 2001:db8::1", ""},
		{"several", "10.0.0.0/24,192.168.1.1/32", dual, "10.0.0.4 192.168.1.1", "192.168.1.2 10.0.1.4", "IPv6"},
		{"host bits do not count", "10.0.0.77/24", dual, "10.0.0.4", "10.0.1.4", "IPv6"},
		{"everything", "0.0.0.0/0,10.0.0.0/8", dual, "10.0.0.4 192.168.1.1", "", "IPv4 IPv6"},
		{"primary", "primary", dual, "10.0.0.4 fd00:10::4", "192.168.1.1 10.0.0.5 fd00:10::5 127.0.0.1", ""},
		{"primary of a single-stack node", "primary", services.Node{IPs: addrs("10.0.0.4")}, "10.0.0.4 fd00::1", "10.0.0.5", "IPv6"},
		{"primary and a range", "192.168.1.0/24,primary", dual, "10.0.0.4 fd00:10::4 192.168.1.1", "10.0.0.5 fd00:10::5", ""},
		{"localhost", "localhost", dual, "127.0.0.1 ::1", "10.0.0.4 fd00:10::4", ""},
		{"localhost and primary", "localhost,primary", dual, "127.0.0.1 ::1 10.0.0.4", "10.0.0.5", ""},
		{"all and primary", "primary,all", dual, "10.0.0.4 10.0.0.5 fd00::1", "", "IPv4 IPv6"},
		{"primary of an unknown node", "primary", services.Node{IPs: addrs("127.0.0.1")}, "10.0.0.4 fd00::1", "", "IPv4 IPv6"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := ParseNodePortAddresses(split(tc.values))
			if err != nil {
				t.Fatal(err)
			}
			a = a.For(tc.node)
			for ip := range strings.FieldsSeq(tc.in) {
				if !a.Contains(netip.MustParseAddr(ip)) {
					t.Errorf("%s (%s) does not contain %s", tc.values, a, ip)
				}
			}
			for ip := range strings.FieldsSeq(tc.out) {
				if a.Contains(netip.MustParseAddr(ip)) {
					t.Errorf("%s (%s) contains %s", tc.values, a, ip)
				}
			}
			for _, f := range []hnslb.Family{hnslb.IPv4, hnslb.IPv6} {
				if want := strings.Contains(tc.all, f.String()); a.All(f) != want {
					t.Errorf("%s (%s) means all of %s: %v, want %v", tc.values, a, f, a.All(f), want)
				}
			}
		})
	}
}

func split(values string) []string {
	if values == "" {
		return nil
	}
	return strings.Split(values, ",")
}

// TestNodePortAddressesErrors: what kube-proxy refuses is refused, and leading zeros are.
func TestNodePortAddressesErrors(t *testing.T) {
	for values, want := range map[string]string{
		"primary,10.0.0.0/8,primary": `"primary" is listed twice`,
		"all,all":                    `"all" is listed twice`,
		"10.0.0.4":                   `"10.0.0.4" must be a range of IP addresses, such as 10.0.0.0/8 or fd00::/16`,
		"x,10.0.0.0/8,y": `"x" must be a range of IP addresses, such as 10.0.0.0/8 or fd00::/16` + "\n" +
			`"y" must be a range of IP addresses, such as 10.0.0.0/8 or fd00::/16`,
		"Primary":     `"Primary" must be a range of IP addresses, such as 10.0.0.0/8 or fd00::/16`,
		"010.0.0.0/8": `"010.0.0.0/8" has leading zeros, which some programs parse as octal; use 10.0.0.0/8`,
	} {
		if _, err := ParseNodePortAddresses(split(values)); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", values, err, want)
		}
	}
	same, _ := ParseNodePortAddresses([]string{"10.0.0.9/8"})
	if other, _ := ParseNodePortAddresses([]string{"10.0.0.0/8"}); same != other {
		t.Errorf("%s and %s differ", same, other)
	}
}
