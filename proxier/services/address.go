// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// ParseAddr parses the address of an object or flag, without a zone. Leading zeros are rejected,
// here and in ranges: some programs parse 010.9.9.8 as 8.9.9.8, so that one component would check a
// different address than another one serves (CVE-2021-29923). The error says what is wrong and what
// to write instead.
func ParseAddr(text string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(text)
	if err == nil && ip.Zone() == "" {
		return ip, nil
	}
	if plain := withoutZeros(text); plain != text {
		if ip, err := netip.ParseAddr(plain); err == nil {
			return netip.Addr{}, zerosError(ip)
		}
	}
	return netip.Addr{}, errors.New("must be an IP address, such as 10.96.0.10 or fd00::10")
}

// ParsePrefix parses a range of addresses by the same rules. Host bits are ignored. IPv4-mapped
// IPv6 ranges are rejected, since they could be meant for either family.
func ParsePrefix(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err == nil && p.Addr().Is4In6():
		return netip.Prefix{}, errors.New("must not be an IPv4-mapped IPv6 range; use the form 10.0.0.0/8")
	case err == nil:
		return p.Masked(), nil
	}
	if address, bits, ok := strings.Cut(text, "/"); ok {
		plain := withoutZeros(address) + "/" + trimZeros(bits)
		if p, err := netip.ParsePrefix(plain); err == nil && plain != text {
			return netip.Prefix{}, zerosError(p)
		}
	}
	return netip.Prefix{}, errors.New("must be a range of IP addresses, such as 10.0.0.0/8 or fd00::/16")
}

func zerosError(instead fmt.Stringer) error {
	return fmt.Errorf("has leading zeros, which some programs parse as octal; use %s", instead)
}

// withoutZeros removes the leading zeros of the decimal numbers in an address.
func withoutZeros(address string) string {
	decimal := strings.LastIndex(address, ":") + 1
	if !strings.Contains(address[decimal:], ".") {
		return address
	}
	numbers := strings.Split(address[decimal:], ".")
	for i, n := range numbers {
		numbers[i] = trimZeros(n)
	}
	return address[:decimal] + strings.Join(numbers, ".")
}

func trimZeros(number string) string {
	if trimmed := strings.TrimLeft(number, "0"); trimmed != "" || number == "" {
		return trimmed
	}
	return "0"
}
