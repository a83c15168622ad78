// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import (
	"fmt"
	"net/netip"
)

// RemoteMAC returns the synthetic MAC of a remote endpoint, by which hnsproxy and kube-proxy.exe
// recognize their own endpoints: 02-11 followed by the IPv4 address, or by the last four bytes of
// the IPv6 address in reverse order. It never appears on the wire of an L2Bridge network.
func RemoteMAC(ip netip.Addr) string {
	if ip.Is4() {
		b := ip.As4()
		return fmt.Sprintf("02-11-%02x-%02x-%02x-%02x", b[0], b[1], b[2], b[3])
	}
	b := ip.As16()
	return fmt.Sprintf("02-11-%02x-%02x-%02x-%02x", b[15], b[14], b[13], b[12])
}
