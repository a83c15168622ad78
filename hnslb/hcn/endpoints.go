// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// endpointLister lists the endpoints: through V1, whose form of an endpoint is complete,
// after a look through V2 at one endpoint of each shape.
type endpointLister struct {
	lister
	// proven are the shapes about which V1 and V2 agreed. The holder of the turn owns it.
	proven map[endpointShape]bool
}

// endpointShape is what makes HNS print an endpoint differently. The network is part of
// it: were V1 to hide what only overlays have, other endpoints would still look right.
type endpointShape struct {
	network          hnslb.ID
	remote, provider bool
	ipv4, ipv6       int
}

func shapeOf(e hnslb.Endpoint) endpointShape {
	s := endpointShape{network: e.Network, remote: e.Remote, provider: e.ProviderAddress.IsValid()}
	for _, ip := range e.IPs {
		if hnslb.FamilyOf(ip) == hnslb.IPv4 {
			s.ipv4++
		} else {
			s.ipv6++
		}
	}
	return s
}

func newEndpointLister(src source, warn func(string)) *endpointLister {
	return &endpointLister{lister: newLister(src, warn), proven: map[endpointShape]bool{}}
}

// list returns all endpoints of the host.
func (l *endpointLister) list(ctx context.Context) ([]hnslb.Endpoint, error) {
	release, err := l.take(ctx, hnslb.VerbEndpoints)
	if err != nil {
		return nil, err
	}
	defer release()

	if !l.v2Only {
		before, err := l.src.v1Endpoints()
		// An empty answer is not believed, and a failed one is asked again: V1 says
		// why it failed in words only, V2 with a code.
		if err == nil && len(before) > 0 {
			if err := l.prove(ctx, before); err != nil {
				return nil, err
			}
			if !l.v2Only {
				return before, nil
			}
		}
	}
	return throughV2(ctx, hnslb.VerbEndpoints, l.src.v2Endpoints)
}

// prove looks through V2 at one endpoint of each shape that was not proven yet.
func (l *endpointLister) prove(ctx context.Context, before []hnslb.Endpoint) error {
	var suspects []hnslb.ID
	suspected := map[endpointShape]bool{}
	for _, e := range before {
		shape := shapeOf(e)
		if l.proven[shape] || suspected[shape] {
			continue
		}
		if err := alive(ctx, hnslb.VerbEndpoints, "all"); err != nil {
			return err
		}
		v2, err := l.src.v2Endpoint(e.ID)
		switch {
		case err != nil && !gone(err):
			return err
		case err == nil && sameEndpoint(e, v2):
			l.proven[shape] = true
		default:
			suspected[shape] = true
			suspects = append(suspects, e.ID)
		}
	}
	if len(suspects) == 0 {
		return nil
	}
	after, err := l.src.v1Endpoints()
	if err != nil {
		return err
	}
	if id, ok := confirmed(suspects, byID(before, endpointID), byID(after, endpointID), sameEndpoint); ok {
		l.distrust(hnslb.VerbEndpoints, id)
	}
	return nil
}
