// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// hostMAC returns the MAC of the host interface that carries ip, in the form of HNS, and ""
// when none does.
func hostMAC(ip netip.Addr) (string, error) {
	if !ip.IsValid() {
		return "", nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list the host's interfaces: %w", err)
	}
	return macOf(ip, all, func(i net.Interface) ([]net.Addr, error) { return i.Addrs() })
}

// macOf looks for the interface that carries ip. One that cannot be read may have gone
// meanwhile, as pods' do, and matters only if ip is not found elsewhere.
func macOf(ip netip.Addr, all []net.Interface, addrs func(net.Interface) ([]net.Addr, error)) (string, error) {
	var unread error
	for _, i := range all {
		if len(i.HardwareAddr) == 0 {
			continue // loopback and tunnels
		}
		list, err := addrs(i)
		if err != nil {
			unread = fmt.Errorf("addresses of interface %s: %w", i.Name, err)
			continue
		}
		for _, a := range list {
			if prefix, ok := a.(*net.IPNet); ok && addrOf(prefix.IP) == ip {
				return strings.ToUpper(strings.ReplaceAll(i.HardwareAddr.String(), ":", "-")), nil
			}
		}
	}
	return "", unread
}
