// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// AddressRanges are CIDRs, such as those of --hns-deny-endpoints. The zero value contains no
// address. It is immutable and comparable.
type AddressRanges struct {
	// text holds the prefixes, joined by commas, so that the type is comparable.
	text string
}

// ParseAddressRanges parses CIDRs and single addresses. The error names the first invalid value.
func ParseAddressRanges(values []string) (AddressRanges, error) {
	var out []string
	for _, v := range values {
		p, err := netip.ParsePrefix(v)
		if ip, ipErr := netip.ParseAddr(v); ipErr == nil && ip.Zone() == "" {
			p, err = netip.PrefixFrom(ip, ip.BitLen()), nil
		}
		if err != nil || p.Addr().Is4In6() {
			return AddressRanges{}, fmt.Errorf("%q is not a CIDR", v)
		}
		out = append(out, p.Masked().String())
	}
	return AddressRanges{strings.Join(out, ",")}, nil
}

// prefixes returns the ranges.
func (r AddressRanges) prefixes() []netip.Prefix {
	var out []netip.Prefix
	for text := range strings.SplitSeq(r.text, ",") {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// reservedRanges returns ranges that never contain the address of an endpoint or a Service (RFC
// 1112, RFC 1122). Package netip has predicates for the other ones.
func reservedRanges() (thisNetwork, class5 netip.Prefix) {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{}), 8), netip.PrefixFrom(netip.AddrFrom4([4]byte{240}), 4)
}

// invalidReason returns why an address can be neither an endpoint nor a VIP; "" if it can. The API
// server rejects most of these addresses in EndpointSlices and external IPs, but not all of them,
// not in the status of a Service, and not in files.
func invalidReason(ip netip.Addr) string {
	thisNetwork, class5 := reservedRanges()
	switch {
	case ip.Is4In6():
		return "IPv4-mapped IPv6 address"
	case ip.IsUnspecified(), thisNetwork.Contains(ip):
		return "unspecified address"
	case ip.IsLoopback():
		return "loopback address"
	case ip.IsLinkLocalUnicast():
		return "link-local address"
	case ip.IsMulticast():
		return "multicast address"
	case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "broadcast address"
	case class5.Contains(ip):
		return "reserved range " + class5.String()
	}
	return ""
}

// refuseEndpoint returns why an address must not be an endpoint; "" if it may.
func (e *Env) refuseEndpoint(ip netip.Addr) string {
	if why := invalidReason(ip); why != "" {
		return why
	}
	if slices.ContainsFunc(e.denied, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		return "denied by --hns-deny-endpoints"
	}
	return ""
}

// refuseVIP returns why a frontend must not have a VIP; the zero Note if it may.
// --hns-deny-endpoints also applies to external IPs, which the author of a Service chooses, but not
// to the addresses that the API server and cloud controllers assign.
func (e *Env) refuseVIP(kind Kind, ip netip.Addr) Note {
	why := invalidReason(ip)
	if why == "" && kind == ExternalIP {
		why = e.refuseEndpoint(ip)
	}
	switch {
	case kind == NodePort:
		return Note{}
	case why != "":
		return Note{VIPRefused, fmt.Sprintf("%s is not a valid Service address: %s", ip, why)}
	case e.IsSourceVIP(ip):
		return Note{AddressTaken, fmt.Sprintf("%s is the source VIP of this node", ip)}
	case kind == ClusterIP && e.network.IsOverlay() && e.OwnAddress(ip):
		return Note{AddressTaken, fmt.Sprintf("%s is the address of this node", ip)}
	}
	return Note{}
}

// allowedEndpoints returns the endpoints that are not refused, and a note about those that are.
func (e *Env) allowedEndpoints(all []candidate) ([]candidate, []Note) {
	var refused []string
	ok := filter(all, func(c candidate) bool { return e.refuseEndpoint(c.IP) == "" })
	if len(ok) == len(all) {
		return all, nil
	}
	for _, c := range all {
		if why := e.refuseEndpoint(c.IP); why != "" {
			refused = append(refused, fmt.Sprintf("%s (%s)", c.IP, why))
		}
	}
	return ok, []Note{{EndpointRefused, "endpoints not programmed: " + List(slices.Compact(refused))}}
}

// maxListed is the maximum number of items in a message.
const maxListed = 5

// List joins at most maxListed items for a message.
func List(items []string) string {
	if more := len(items) - maxListed; more > 0 {
		return strings.Join(items[:maxListed], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(items, ", ")
}
