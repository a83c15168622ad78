// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// shown is a copy of a load balancer as this release shows it, which a caller may keep.
// HNS itself goes on with what it was asked for.
func shown(q profiles.Quirks, lb hnslb.LoadBalancer) hnslb.LoadBalancer {
	lb = publicLoadBalancer(lb)
	lb.Flags |= q.EchoAddsFlags
	for i := range lb.Mappings {
		m := &lb.Mappings[i]
		m.Flags = m.Flags&^q.EchoHides | q.EchoAdds
	}
	return lb
}

// modified is what a modify makes of a load balancer that was asked to become want.
func modified(q profiles.Quirks, had, want hnslb.LoadBalancer) hnslb.LoadBalancer {
	if q.ModifyIgnoresSourceVIP {
		want.SourceVIP = had.SourceVIP
	}
	if q.ModifyIgnoresFlags {
		want.Flags = had.Flags
	}
	for i := range min(len(want.Mappings), len(had.Mappings)) {
		m, was := &want.Mappings[i], had.Mappings[i]
		if q.ModifyIgnoresPort {
			m.InternalPort = was.InternalPort
		}
		if q.ModifyIgnoresFlags {
			m.Flags, m.Distribution = was.Flags, was.Distribution
		}
	}
	return want
}
