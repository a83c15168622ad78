// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"fmt"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// idSource makes GUIDs and MACs that look random and are the same on every run. issued is
// part of the saved state, so that a restored host does not hand out an ID twice.
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

// nextMAC returns a MAC of the range that HNS takes from: 00-15-5D is Microsoft's.
func (s *idSource) nextMAC() string {
	s.issued++
	r := mix(s.seed ^ mix(s.issued))
	return fmt.Sprintf("00-15-5D-%02X-%02X-%02X", byte(r>>16), byte(r>>8), byte(r))
}

// mix is the finaliser of splitmix64: every input bit reaches every output bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
