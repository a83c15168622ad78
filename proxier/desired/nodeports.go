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

// Keywords for ranges, as in kube-proxy. primary means the addresses of the Node object.
const (
	primary   = "primary"
	localhost = "localhost"
	allIPs    = "all"
)

// NodePortAddresses are the node addresses that serve node ports and health check node ports
// (--nodeport-addresses). The zero value means all. It is immutable and comparable.
//
// A family without any range is not restricted, as in kube-proxy.
type NodePortAddresses struct {
	// ranges contains prefixes and the keyword primary, separated by commas, to keep the type
	// comparable.
	ranges string
}

// ParseNodePortAddresses parses what kube-proxy accepts, CIDRs and the keywords primary, localhost
// and all, except for leading zeros. The error joins the errors of all values.
func ParseNodePortAddresses(values []string) (NodePortAddresses, error) {
	var ranges []string
	var errs []error
	for i, v := range values {
		if words := map[string][]string{primary: {primary}, localhost: {"127.0.0.0/8", "::1/128"}, allIPs: {"0.0.0.0/0", "::/0"}}[v]; words != nil {
			if slices.Contains(values[:i], v) {
				errs = append(errs, fmt.Errorf("%q is listed twice", v))
			}
			ranges = append(ranges, words...)
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

// For returns the addresses with "primary" replaced by those of a node. A loopback address is
// ignored, since that is the placeholder for a node without another address.
func (a NodePortAddresses) For(node services.Node) NodePortAddresses {
	all := strings.Split(a.ranges, ",")
	if !slices.Contains(all, primary) {
		return a
	}
	var ranges []string
	for _, f := range []hnslb.Family{hnslb.IPv4, hnslb.IPv6} {
		if ip := node.IP(f); ip.IsValid() && !ip.IsLoopback() {
			ranges = append(ranges, netip.PrefixFrom(ip, ip.BitLen()).String())
		}
	}
	ranges = append(ranges, slices.DeleteFunc(all, func(r string) bool { return r == primary })...)
	return NodePortAddresses{strings.Join(ranges, ",")}
}

// Contains returns whether an address of the node serves node ports. Before For is called, primary
// alone contains all.
func (a NodePortAddresses) Contains(ip netip.Addr) bool {
	ranges := a.of(hnslb.FamilyOf(ip))
	return len(ranges) == 0 || slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// All returns whether every address of a family serves node ports.
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

// String returns the ranges for messages; "all" if there are none.
func (a NodePortAddresses) String() string {
	if a.ranges == "" {
		return "all"
	}
	return a.ranges
}
