// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// refusalFacts are the codes with which HNS refuses what is wrong in itself.
func refusalFacts() []fact {
	refused := func(name, row string, change func(*hnslb.LoadBalancer)) fact {
		return fact{name: name, row: row, find: func(ctx context.Context, b *bench) (string, error) { return b.tryCreate(ctx, change) }}
	}
	unknownEndpoint := refused("endpoint that HNS does not have", "Unknown endpoint in the list",
		func(lb *hnslb.LoadBalancer) { lb.Endpoints = []hnslb.ID{nobodyID} })
	unknownEndpoint.sets = "Quirks.UnknownEndpointCode"
	unknownEndpoint.set = func(p *profiles.Profile, found string) {
		if code := codeOf(found); code != 0 {
			p.Quirks.UnknownEndpointCode = code
		}
	}
	return []fact{
		unknownEndpoint,
		refused("no endpoints", "Empty endpoint list", func(lb *hnslb.LoadBalancer) { lb.Endpoints = nil }),
		refused("no internal port", "No internal port", func(lb *hnslb.LoadBalancer) { lb.Mappings[0].InternalPort = 0 }),
		refused("protocol SCTP", "No SCTP", func(lb *hnslb.LoadBalancer) { lb.Mappings[0].Protocol = hnslb.SCTP }),
		{name: "endpoint made twice", row: "Endpoint made twice", find: findTwin},
		{name: "endpoint on a network that is not there", find: func(ctx context.Context, b *bench) (string, error) {
			ip, err := b.address()
			if err != nil {
				return "", err
			}
			spec := b.endpointSpec(ip)
			spec.Network = nobodyID
			e, err := b.Driver.CreateEndpoint(ctx, spec)
			if err == nil {
				b.deleteEndpoint(ctx, e.ID)
			}
			return resultText(err)
		}},
	}
}

func findTwin(ctx context.Context, b *bench) (string, error) {
	e, err := b.createEndpoint(ctx)
	if err != nil {
		return "", err
	}
	defer b.deleteEndpoint(ctx, e.ID)
	twin, err := b.Driver.CreateEndpoint(ctx, b.endpointSpec(e.IPs[0]))
	if err == nil {
		b.deleteEndpoint(ctx, twin.ID)
	}
	return resultText(err)
}

// frontendFacts are about frontends that are taken.
func frontendFacts() []fact {
	return []fact{
		{name: "frontend that another load balancer has", row: "A frontend is taken", find: func(ctx context.Context, b *bench) (string, error) {
			lb, err := b.loadBalancerSpec(ctx)
			if err != nil {
				return "", err
			}
			return b.beside(ctx, lb, lb)
		}},
		{name: "node port and the same port on the management IP", row: "A VIP equal to the management IP", find: findNodePort},
		{name: "listener on the node port", row: "A listener on the node port", find: func(ctx context.Context, b *bench) (string, error) {
			lb, err := b.nodePortSpec(ctx)
			if err != nil {
				return "", err
			}
			return b.besideListener(ctx, lb)
		}},
		{
			name: "VIP whose port a program listens on", row: "A listener on the any-address",
			find: func(ctx context.Context, b *bench) (string, error) {
				lb, err := b.nodePortSpec(ctx)
				if err != nil {
					return "", err
				}
				lb.VIPs = []netip.Addr{b.vip(vipsPerPort + 4)}
				return b.besideListener(ctx, lb)
			},
			sets: "Quirks.ListenerTakesVIP",
			set: func(p *profiles.Profile, found string) {
				p.Quirks.ListenerTakesVIP = codeOf(found) == hnslb.ResultPortAlreadyExists
			},
		},
		{
			name: "frontend of a load balancer that was deleted", row: "The port of a deleted load balancer", find: findLeak,
			sets: "Faults.LeakPorts",
			set: func(p *profiles.Profile, found string) {
				p.Faults.LeakPorts = codeOf(found) == hnslb.ResultPortAlreadyExists
			},
		},
	}
}

// beside tells what becomes of a load balancer while there is another one.
func (b *bench) beside(ctx context.Context, first, second hnslb.LoadBalancer) (string, error) {
	made, err := b.Driver.CreateLoadBalancer(ctx, first)
	if err != nil {
		return "", err
	}
	defer b.deleteLoadBalancer(ctx, made)
	return b.tryCreateSpec(ctx, second)
}

func findNodePort(ctx context.Context, b *bench) (string, error) {
	if !b.network.ManagementIP.IsValid() {
		return "", unknown("the network has no management IP yet")
	}
	lb, err := b.nodePortSpec(ctx)
	if err != nil {
		return "", err
	}
	twin := lb
	twin.VIPs = []netip.Addr{b.network.ManagementIP}
	return b.beside(ctx, lb, twin)
}

// besideListener tells what becomes of a load balancer on whose port a program listens.
func (b *bench) besideListener(ctx context.Context, lb hnslb.LoadBalancer) (string, error) {
	if b.Listen == nil {
		return "", unknown("the probe cannot listen on this host")
	}
	stop, err := b.Listen(hnslb.TCP, lb.Mappings[0].ExternalPort)
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	defer stop()
	return b.tryCreateSpec(ctx, lb)
}

// findLeak makes a load balancer anew whose twin was deleted.
func findLeak(ctx context.Context, b *bench) (string, error) {
	lb, err := b.createLoadBalancer(ctx, nil)
	if err != nil {
		return "", err
	}
	b.deleteLoadBalancer(ctx, lb)
	if _, there, err := b.listedLoadBalancer(ctx, lb.ID); err != nil || there {
		return "", unknownIf(err == nil, "the load balancer cannot be deleted", err)
	}
	again := lb
	again.ID = ""
	return b.tryCreateSpec(ctx, again)
}

func unknownIf(is bool, reason string, otherwise error) error {
	if is {
		return unknown("%s", reason)
	}
	return otherwise
}
