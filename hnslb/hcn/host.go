// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// hostAdapters returns the addresses of the host, each with the MAC of its interface.
func hostAdapters() ([]hnslb.Adapter, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the host's interfaces: %w", err)
	}
	return adaptersOf(all, func(i net.Interface) ([]net.Addr, error) { return i.Addrs() })
}

// adaptersOf reads the addresses of interfaces, IPv4 and IPv6 alike, without those of a link.
// An interface that cannot be read may have gone meanwhile, as pods' do: the others come with
// the error.
func adaptersOf(all []net.Interface, addrs func(net.Interface) ([]net.Addr, error)) ([]hnslb.Adapter, error) {
	var out []hnslb.Adapter
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
		mac := strings.ToUpper(strings.ReplaceAll(i.HardwareAddr.String(), ":", "-"))
		for _, a := range list {
			if prefix, ok := a.(*net.IPNet); ok {
				if ip := addrOf(prefix.IP); ip.IsValid() && !ip.IsLinkLocalUnicast() {
					out = append(out, hnslb.Adapter{IP: ip, MAC: mac})
				}
			}
		}
	}
	return out, unread
}

// macOf returns the MAC of the interface that carries ip, "" when none does.
func macOf(ip netip.Addr, all []hnslb.Adapter) string {
	for _, a := range all {
		if a.IP == ip && ip.IsValid() {
			return a.MAC
		}
	}
	return ""
}
