// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// idSource makes GUIDs that look random and are the same on every run. issued is part
// of the saved state, so that a restored host does not hand out an ID twice.
type idSource struct {
	seed   uint64
	issued uint64
}

// next returns a GUID in lower case, as HNS prints it through V2 [A: calico issue 7305,
// k8s issue 135802].
func (s *idSource) next() hnslb.ID {
	s.issued++
	hi := mix(s.seed ^ mix(s.issued))
	lo := mix(hi + s.issued)
	hi = hi&^0xf000 | 0x4000            // version 4, random
	lo = lo&^(0b11<<62) | uint64(1)<<63 // variant of RFC 9562
	return hnslb.ID(fmt.Sprintf("%08x-%04x-%04x-%04x-%012x",
		hi>>32, hi>>16&0xffff, hi&0xffff, lo>>48, lo&0xffffffffffff))
}

// mix is the finaliser of splitmix64: every input bit reaches every output bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// podMAC is the MAC that network plugins give a pod: 0E-2A and its IPv4 address [A:
// win-overlay, flannel, Calico], here the last four bytes of any address.
func podMAC(ip netip.Addr) string {
	b := ip.As16()
	return fmt.Sprintf("0E-2A-%02X-%02X-%02X-%02X", b[12], b[13], b[14], b[15])
}

// hostMAC is a MAC for the host's adapter on a network: 00-15-5D is Microsoft's range.
func hostMAC(network string) string {
	h := fnv.New32a()
	h.Write([]byte(network))
	n := h.Sum32()
	return fmt.Sprintf("00-15-5D-%02X-%02X-%02X", byte(n>>16), byte(n>>8), byte(n))
}

// foldMAC returns a MAC as HNS prints it, with dashes and in upper case [A: 00-15-5D-.. in
// calico issue 8465]; it is false for anything else. Colons are taken, too: on overlays
// kube-proxy.exe writes the host's MAC with them, as Go prints it [A: winkernel 1.36].
func foldMAC(mac string) (string, bool) {
	if len(mac) != len("00-00-00-00-00-00") {
		return "", false
	}
	mac = strings.ReplaceAll(strings.ToUpper(mac), ":", "-")
	for i, c := range []byte(mac) {
		if i%3 == 2 && c != '-' || i%3 != 2 && !strings.ContainsRune("0123456789ABCDEF", rune(c)) {
			return "", false
		}
	}
	return mac, true
}
