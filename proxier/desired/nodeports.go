// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// primary stands for the addresses that the Node object gives.
const primary = "primary"

// NodePortAddresses say on which of the node's addresses node ports, and health-check node
// ports, answer (--nodeport-addresses). The zero value means all. It is immutable, and ==
// compares it.
//
// A family of which no range is named is not restricted, as of kube-proxy.
type NodePortAddresses struct {
	// ranges are prefixes joined by commas, or primary. Text compares, and ranges are few.
	ranges string
}

// ParseNodePortAddresses reads what kube-proxy reads, CIDRs or the one word "primary", but
// for leading zeros. The error joins what is wrong with each.
func ParseNodePortAddresses(values []string) (NodePortAddresses, error) {
	var ranges []string
	var errs []error
	for _, v := range values {
		if v == primary {
			if len(values) > 1 {
				errs = append(errs, errors.New(`"primary" cannot be joined with ranges`))
			}
			ranges = append(ranges, v)
			continue
		}
		p, err := services.ParsePrefix(v)
		if err != nil {
			errs = append(errs, fmt.Errorf("%q %w", v, err))
			continue
		}
		ranges = append(ranges, p.String())
	}
	return NodePortAddresses{strings.Join(ranges, ",")}, errors.Join(errs...)
}

// For returns the addresses with "primary" replaced by those of a node, but for the
// loopback address, which is what a node without a better one is given.
func (a NodePortAddresses) For(node services.Node) NodePortAddresses {
	if a.ranges != primary {
		return a
	}
	var ranges []string
	for _, f := range []hnslb.Family{hnslb.IPv4, hnslb.IPv6} {
		if ip := node.IP(f); ip.IsValid() && !ip.IsLoopback() {
			ranges = append(ranges, netip.PrefixFrom(ip, ip.BitLen()).String())
		}
	}
	return NodePortAddresses{strings.Join(ranges, ",")}
}

// Contains tells whether node ports answer on an address of the node. Before For, primary
// contains all.
func (a NodePortAddresses) Contains(ip netip.Addr) bool {
	ranges := a.of(hnslb.FamilyOf(ip))
	return len(ranges) == 0 || slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// All tells whether node ports answer on every address of a family.
func (a NodePortAddresses) All(f hnslb.Family) bool {
	ranges := a.of(f)
	return len(ranges) == 0 || slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Bits() == 0 })
}

func (a NodePortAddresses) of(f hnslb.Family) []netip.Prefix {
	var out []netip.Prefix
	for text := range strings.SplitSeq(a.ranges, ",") {
		if p, err := netip.ParsePrefix(text); err == nil && hnslb.FamilyOf(p.Addr()) == f {
			out = append(out, p)
		}
	}
	return out
}

// String prints the ranges for messages; "all" without any.
func (a NodePortAddresses) String() string {
	if a.ranges == "" {
		return "all"
	}
	return a.ranges
}
