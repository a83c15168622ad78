// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"context"
	"net/netip"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/engine"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// Objects are the HNS objects of a frontend, as far as known.
type Objects struct {
	// LoadBalancer holds the frontend; empty for none. Foreign: it is not one of ours, and
	// keeps ours out.
	LoadBalancer hnslb.ID
	Foreign      bool
	// Endpoints are those of the frontend's backends that HNS has.
	Endpoints map[netip.Addr]hnslb.ID
}

// Objects returns the HNS objects of each frontend, in order, or false when ctx ended before
// the loop got to it, as it may when Run has not begun. It costs the loop a look at each
// backend: it is for people who ask, not for what happens all the time (law 1).
func (p *Proxier) Objects(ctx context.Context, frontends []*desired.Frontend) ([]Objects, bool) {
	answer := make(chan []Objects, 1)
	p.request(func(e *engine.Engine) {
		if ctx.Err() == nil {
			answer <- objectsOf(e, frontends)
		}
	})
	select {
	case out := <-answer:
		return out, true
	case <-ctx.Done():
		return nil, false
	}
}

func objectsOf(e *engine.Engine, frontends []*desired.Frontend) []Objects {
	out := make([]Objects, len(frontends))
	for i, f := range frontends {
		if lb := e.LoadBalancer(f.Key); lb != nil {
			out[i].LoadBalancer, out[i].Foreign = lb.ID, !lb.Ours
		}
		out[i].Endpoints = make(map[netip.Addr]hnslb.ID, len(f.Backends))
		for _, b := range f.Backends {
			if ep := e.Endpoint(b.IP); ep != nil {
				out[i].Endpoints[b.IP] = ep.ID
			}
		}
	}
	return out
}
