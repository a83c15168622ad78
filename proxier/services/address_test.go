// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package services_test

import (
	"testing"

	"github.com/hnsproxy/hnsproxy/proxier/services"
	"pgregory.net/rapid"
)

// TestParseAddress holds the one rule for addresses and ranges.
func TestParseAddress(t *testing.T) {
	const (
		noAddr   = "must be an IP address, such as 10.96.0.10 or fd00::10"
		noPrefix = "must be a range of IP addresses, such as 10.0.0.0/8 or fd00::/16"
		zeros    = "has leading zeros, which some programs parse as octal; use "
	)
	addr := func(s string) (string, error) { ip, err := services.ParseAddr(s); return ip.String(), err }
	prefix := func(s string) (string, error) { p, err := services.ParsePrefix(s); return p.String(), err }
	for _, tc := range []struct {
		text   string
		read   func(string) (string, error)
		want   string
		reason string
	}{
		{"10.9.9.8", addr, "10.9.9.8", ""},
		{"0.0.0.0", addr, "0.0.0.0", ""},
		{"fd00:0010::0001", addr, "fd00:10::1", ""},
		{"::ffff:10.9.9.8", addr, "::ffff:10.9.9.8", ""},
		{"010.9.9.8", addr, "", zeros + "10.9.9.8"},
		{"10.9.9.00", addr, "", zeros + "10.9.9.0"},
		{"::ffff:10.09.9.8", addr, "", zeros + "::ffff:10.9.9.8"},
		{"010.9.9", addr, "", noAddr},
		{"010.9.9.256", addr, "", noAddr},
		{"10.9.9.8 ", addr, "", noAddr},
		{"10..9.8", addr, "", noAddr},
		{"fe80::1%eth0", addr, "", noAddr},
		{"", addr, "", noAddr},
		{"10.9.9.8/32", addr, "", noAddr},
		{"10.0.0.0/8", prefix, "10.0.0.0/8", ""},
		{"10.9.9.8/8", prefix, "10.0.0.0/8", ""},
		{"0.0.0.0/0", prefix, "0.0.0.0/0", ""},
		{"fd00::1/16", prefix, "fd00::/16", ""},
		{"010.0.0.0/8", prefix, "", zeros + "10.0.0.0/8"},
		{"10.0.0.0/08", prefix, "", zeros + "10.0.0.0/8"},
		{"00.0.0.0/00", prefix, "", zeros + "0.0.0.0/0"},
		{"fd00::/016", prefix, "", zeros + "fd00::/16"},
		{"::ffff:10.0.0.0/104", prefix, "", "must not be an IPv4-mapped IPv6 range; use the form 10.0.0.0/8"},
		{"10.0.0.0/33", prefix, "", noPrefix},
		{"10.0.0.0/", prefix, "", noPrefix},
		{"10.0.0.0", prefix, "", noPrefix},
	} {
		got, err := tc.read(tc.text)
		switch {
		case tc.reason == "" && (err != nil || got != tc.want):
			t.Errorf("%q: %s, %v; want %s", tc.text, got, err, tc.want)
		case tc.reason != "" && (err == nil || err.Error() != tc.reason):
			t.Errorf("%q: error %v, want %s", tc.text, err, tc.reason)
		}
	}
}

// TestParseAddressAnything: no text is read in two ways, and none is too odd.
func TestParseAddressAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[0-9a-f.:/%]{0,20}`).Draw(t, "text")
		if ip, err := services.ParseAddr(text); err == nil {
			if again, err := services.ParseAddr(ip.String()); err != nil || again != ip {
				t.Errorf("%q is %s, which is %s, %v", text, ip, again, err)
			}
		}
		if p, err := services.ParsePrefix(text); err == nil {
			if again, err := services.ParsePrefix(p.String()); err != nil || again != p {
				t.Errorf("%q is %s, which is %s, %v", text, p, again, err)
			}
		}
	})
}
