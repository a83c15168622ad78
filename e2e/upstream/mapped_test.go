// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package upstream

import (
	"net/netip"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// standIn returns the IPv6 address that upstream is shown in place of an IPv4-mapped one:
// hnsproxy takes those for IPv6. Others stay as they are.
func standIn(text string) string {
	ip, err := netip.ParseAddr(text)
	if err != nil || !ip.Is4In6() {
		return text
	}
	bytes := ip.As16()
	bytes[0] = standInMark
	return netip.AddrFrom16(bytes).String()
}

// standInMark is the first byte of stand-ins, that of no address that cases draw.
const standInMark = 0x3f

// mappedOf returns the address that a stand-in is for.
func mappedOf(ip netip.Addr) (netip.Addr, bool) {
	bytes := ip.As16()
	if bytes[0] != standInMark {
		return netip.Addr{}, false
	}
	bytes[0] = 0
	return netip.AddrFrom16(bytes), true
}

// standInForMapped takes IPv4-mapped endpoints away, and shows stand-ins for VIPs.
func standInForMapped(c *testCase) *testCase {
	isMapped := func(text string) bool { return standIn(text) != text }
	out, applies := c.withoutEndpoints(isMapped)
	if c.hasVIP(isMapped) {
		applies = true
		out.service = c.service.DeepCopy()
		for i, ip := range out.service.Spec.ExternalIPs {
			out.service.Spec.ExternalIPs[i] = standIn(ip)
		}
		for i, in := range out.service.Status.LoadBalancer.Ingress {
			out.service.Status.LoadBalancer.Ingress[i].IP = standIn(in.IP)
		}
	}
	if !applies {
		return nil
	}
	return out
}

// blockMapped blocks the frontends of stand-ins. The rule was counted with its input.
func blockMapped(_ *testCase, fs []*face) ([]*face, int) {
	for _, f := range fs {
		if f.key.Family != hnslb.IPv6 {
			continue
		}
		if mapped, ok := mappedOf(f.key.VIP); ok {
			f.key.VIP = mapped
			f.block(desired.VIPRefused)
		}
	}
	return fs, 0
}
