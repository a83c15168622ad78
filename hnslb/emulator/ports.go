// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"cmp"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// ports is what the host's TCP/IP stack has given away.
type ports struct {
	// listeners are ports that a program on the host holds, on the any-address.
	listeners map[HostPort]bool
	// leaked are frontends whose reservation outlived their load balancer.
	leaked map[hnslb.FrontendKey]bool
	// blocks counts the 64-port blocks of load balancers without DSR, per protocol: TCP
	// and UDP have pools of their own (docs/hns.md, Limits).
	blocks map[hnslb.Protocol]int
}

func newPorts() ports {
	return ports{
		listeners: map[HostPort]bool{},
		leaked:    map[hnslb.FrontendKey]bool{},
		blocks:    map[hnslb.Protocol]int{},
	}
}

// take counts the blocks of a load balancer: one per mapping, none with DSR.
func (p ports) take(lb hnslb.LoadBalancer) { p.count(lb, 1) }

func (p ports) give(lb hnslb.LoadBalancer) { p.count(lb, -1) }

func (p ports) count(lb hnslb.LoadBalancer, by int) {
	if lb.Flags&hnslb.DSR != 0 {
		return
	}
	for _, m := range lb.Mappings {
		p.blocks[m.Protocol] += by
	}
}

// listed returns listeners and leaked ports in order.
func (p ports) listed() ([]HostPort, []hnslb.FrontendKey) {
	var listeners []HostPort
	for l := range p.listeners {
		listeners = append(listeners, l)
	}
	slices.SortFunc(listeners, func(a, b HostPort) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	var leaked []hnslb.FrontendKey
	for k := range p.leaked {
		leaked = append(leaked, k)
	}
	slices.SortFunc(leaked, hnslb.FrontendKey.Compare)
	return listeners, leaked
}
