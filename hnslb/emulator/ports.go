// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import "github.com/hnsproxy/hnsproxy/hnslb"

// hostPort is a port of the host's TCP/IP stack.
type hostPort struct {
	Protocol hnslb.Protocol
	Port     uint16
}

// ports is what the host's TCP/IP stack has given away.
type ports struct {
	// listeners are ports that a program on the host holds, on the any-address.
	listeners map[hostPort]bool
	// leaked are frontends whose reservation outlived their load balancer.
	leaked map[hnslb.FrontendKey]bool
	// blocks counts the 64-port blocks of load balancers without DSR, per protocol: TCP
	// and UDP have pools of their own (reference section 7).
	blocks map[hnslb.Protocol]int
}

func newPorts() ports {
	return ports{
		listeners: map[hostPort]bool{},
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
