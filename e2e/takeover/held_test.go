// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package takeover

import (
	"net/netip"
	"slices"
	"strings"
)

// held returns the endpoints and load balancers of a dump of HNS, without those of addresses that have gone.
func held(dump string, gone ...netip.Addr) []string {
	return slices.DeleteFunc(strings.Split(dump, "\n"), func(line string) bool {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "endpoint" && words[0] != "loadbalancer" {
			return true
		}
		ip, err := netip.ParseAddr(words[1])
		return err == nil && slices.Contains(gone, ip)
	})
}
