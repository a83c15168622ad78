// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"strconv"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

const (
	// maxTestEndpoints is one more than the limit that is known.
	maxTestEndpoints = 1025
	// quickEndpoints is one more than the limit of Server 2019 at first.
	quickEndpoints = 65
	// maxTestPortBlocks is how many load balancers without DSR are made to find their limit, which
	// is known to be 256.
	maxTestPortBlocks = 300
)

// limitFacts need many objects.
func limitFacts() []fact {
	return []fact{
		{
			name: "most endpoints of one load balancer", row: "More endpoints than the limit", large: true, find: findMaxEndpoints,
			sets: "MaxEndpoints",
			set: func(p *profiles.Profile, found string) {
				if n, err := strconv.Atoi(found); err == nil {
					p.MaxEndpoints = n
				}
			},
		},
		{
			name: "one endpoint more than that", row: "More endpoints than the limit", large: true,
			find: func(ctx context.Context, b *bench) (string, error) {
				text, err := findMaxEndpoints(ctx, b)
				if err != nil {
					return "", err
				}
				n, err := strconv.Atoi(text)
				if err != nil {
					return "", err
				}
				return b.withEndpoints(ctx, n+1)
			},
		},
		{
			name: "most load balancers without DSR", row: "256 load balancers without DSR", large: true, find: findPortBlocks,
			sets: "Quirks.PortBlocks",
			set: func(p *profiles.Profile, found string) {
				p.Quirks.PortBlocks, _ = strconv.Atoi(found) // 0 means without limit
			},
		},
	}
}

// withEndpoints tells what becomes of a load balancer with n endpoints.
func (b *bench) withEndpoints(ctx context.Context, n int) (string, error) {
	ids, err := b.backends(ctx, n)
	if err != nil {
		return "", err
	}
	return b.tryCreate(ctx, func(lb *hnslb.LoadBalancer) { lb.Endpoints = ids })
}

// findMaxEndpoints halves the range in which the limit lies.
func findMaxEndpoints(ctx context.Context, b *bench) (string, error) {
	most := maxTestEndpoints
	if b.Quick {
		most = quickEndpoints
	}
	code, err := b.withEndpoints(ctx, most)
	switch {
	case err != nil:
		return "", err
	case code == accepted:
		return "", unknown("more than %d; more were not tried", most-1)
	}
	taken, refused := 1, most
	for refused-taken > 1 {
		n := (taken + refused) / 2
		found, err := b.withEndpoints(ctx, n)
		switch {
		case err != nil:
			return "", err
		case found == accepted:
			taken = n
		case found == code:
			refused = n
		default:
			return "", unknown("%d endpoints are refused with %s, %d with %s", most, code, n, found)
		}
	}
	return strconv.Itoa(taken), nil
}

// unlimited says that no limit was met.
const unlimited = "no limit met"

// findPortBlocks makes load balancers without DSR until HNS has no more ports for them.
func findPortBlocks(ctx context.Context, b *bench) (string, error) {
	if !b.ExhaustPorts {
		return "", unknown("it would take all ports for outgoing connections for a while; --exhaust-ports tries it")
	}
	var made []hnslb.LoadBalancer
	defer func() {
		for _, lb := range made {
			b.deleteLoadBalancer(ctx, lb)
		}
	}()
	there, err := b.Driver.LoadBalancers(ctx)
	if err != nil {
		return "", err
	}
	taken := 0
	for _, lb := range there {
		for _, m := range lb.Mappings {
			if lb.Flags&hnslb.DSR == 0 && m.Protocol == hnslb.TCP {
				taken++
			}
		}
	}
	for range maxTestPortBlocks {
		lb, err := b.createLoadBalancer(ctx, nil)
		if err == nil {
			made = append(made, lb)
			continue
		}
		found, err := resultText(err)
		if err == nil && codeOf(found) != hnslb.ResultPortAlreadyExists {
			err = unknown("number %d is refused with %s", len(made)+1, found)
		}
		return strconv.Itoa(taken + len(made)), err
	}
	return unlimited, nil
}
