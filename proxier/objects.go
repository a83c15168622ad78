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

// Objects are the HNS objects of a frontend, according to the last known state.
type Objects struct {
	// LoadBalancer occupies the frontend; empty for none. Foreign is true if it is not ours and
	// blocks ours.
	LoadBalancer hnslb.ID
	Foreign      bool
	// Endpoints are the existing HNS endpoints of the backends.
	Endpoints map[netip.Addr]hnslb.ID
}

// Objects returns the HNS objects of each frontend, in order. It returns false when ctx ended
// before the loop processed the request, for example because Run was not called. The loop looks up
// each backend, so Objects is meant for diagnosis and not for frequent use (law 1).
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
