// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"context"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// This file is the emulator one layer below hnslb.Driver, for package hcnserver: what
// single calls into computenetwork.dll and vmcompute.dll do. They meet the same rules,
// faults and latency. A call that does the work of a verb counts as that verb; those that
// only prepare or follow it (open, query, close) take their time and count as none, so
// that Counts says the same through either layer. Calls into the DLLs are counted by
// whoever serves them.

// Objects is what HNS holds while Look shows it. What it returns belongs to the caller.
type Objects struct {
	s      *store
	quirks profiles.Quirks
}

// Network returns the network with that ID.
func (o Objects) Network(id hnslb.ID) (NetworkState, bool) {
	n := o.s.networkByID(hnslb.NewID(string(id)))
	if n == nil {
		return NetworkState{}, false
	}
	return stateOfNetwork(n), true
}

// Endpoint returns the endpoint with that ID.
func (o Objects) Endpoint(id hnslb.ID) (EndpointState, bool) {
	ep := o.s.endpoints[hnslb.NewID(string(id))]
	if ep == nil {
		return EndpointState{}, false
	}
	return EndpointState{publicEndpoint(ep, append(ep.addrs()[:0:0], ep.addrs()...)), ep.detached}, true
}

// LoadBalancer returns the load balancer with that ID.
func (o Objects) LoadBalancer(id hnslb.ID) (LoadBalancerState, bool) {
	b := o.s.balancers[hnslb.NewID(string(id))]
	if b == nil {
		return LoadBalancerState{}, false
	}
	return o.show(stateOfLoadBalancer(b)), true
}

// Networks returns all networks.
func (o Objects) Networks() []NetworkState { return o.s.networkStates() }

// Endpoints returns all endpoints.
func (o Objects) Endpoints() []EndpointState { return o.s.endpointStates() }

// LoadBalancers returns all load balancers.
func (o Objects) LoadBalancers() []LoadBalancerState {
	all := o.s.loadBalancerStates()
	for i, lb := range all {
		all[i] = o.show(lb)
	}
	return all
}

// show makes a load balancer what this release shows of it.
func (o Objects) show(lb LoadBalancerState) LoadBalancerState {
	lb.LoadBalancer = shown(o.quirks, lb.LoadBalancer)
	return lb
}

// Look makes a read: look sees what HNS holds, and must not keep o. Verb v is one of the
// reads, whose faults then apply, or empty. After a list (VerbEndpoints,
// VerbLoadBalancers) Faults.VanishDuringList strikes: what was listed is gone when it is
// opened. Errors are those of hnslb.Driver.
func (e *Emulator) Look(ctx context.Context, v hnslb.Verb, look func(o Objects)) error {
	c := call{verb: v, look: true, object: func() string { return "objects" }}
	_, err := run(ctx, e, c, func() (struct{}, error) {
		look(Objects{e.store, e.profile.Quirks})
		e.vanish(v)
		return struct{}{}, nil
	})
	return err
}

// vanish lets objects go that a list has just shown.
func (e *Emulator) vanish(v hnslb.Verb) {
	switch v {
	case hnslb.VerbEndpoints:
		for range e.trouble.vanishing(len(e.store.endpointOrder.items)) {
			e.store.removeEndpoint(e.store.endpointOrder.items[0])
		}
	case hnslb.VerbLoadBalancers:
		for range e.trouble.vanishing(len(e.store.balancerOrder.items)) {
			e.store.removeLoadBalancer(e.store.balancerOrder.items[0])
		}
	}
}

// PlaceEndpoint is CreateEndpoint, but keeps an ID that the caller chose, as HNS does.
func (e *Emulator) PlaceEndpoint(ctx context.Context, ep hnslb.Endpoint) (hnslb.Endpoint, error) {
	return e.placeEndpoint(ctx, ep, e.ruleIDFree)
}

// PlaceLoadBalancer is CreateLoadBalancer, but keeps an ID that the caller chose.
func (e *Emulator) PlaceLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	return e.placeLoadBalancer(ctx, lb, e.ruleIDFree)
}

// PlaceNetwork is AddNetwork as a call: it takes the time of a write, and keeps an ID that
// the caller chose.
func (e *Emulator) PlaceNetwork(ctx context.Context, spec NetworkSpec, id hnslb.ID) (hnslb.Network, error) {
	c := call{object: func() string { return spec.Name }}
	return run(ctx, e, c, func() (hnslb.Network, error) { return e.createNetwork(spec, id) })
}

// ChangeNetwork is SetRemotes as a call, for the network with that ID. A *hnslb.Error of
// change comes back as it is, and nothing has changed.
func (e *Emulator) ChangeNetwork(
	ctx context.Context, id hnslb.ID, change func([]hnslb.RemoteSubnet) ([]hnslb.RemoteSubnet, error),
) error {
	return e.writeNetwork(ctx, id, func(n *network) error {
		remotes, err := change(publicNetwork(n).Remotes)
		if err != nil {
			return err
		}
		return n.setRemotes(remotes)
	})
}

// RemoveNetwork is DeleteNetwork as a call, for the network with that ID.
func (e *Emulator) RemoveNetwork(ctx context.Context, id hnslb.ID) error {
	return e.writeNetwork(ctx, id, func(n *network) error {
		e.deleteNetwork(n)
		return nil
	})
}

func (e *Emulator) writeNetwork(ctx context.Context, id hnslb.ID, write func(n *network) error) error {
	c := call{object: func() string { return string(id) }}
	_, err := run(ctx, e, c, func() (struct{}, error) {
		n := e.store.networkByID(hnslb.NewID(string(id)))
		if n == nil {
			return struct{}{}, refuse(hnslb.ResultElementNotFound, "")
		}
		return struct{}{}, write(n)
	})
	return err
}

// Stops tells how often HNS was stopped. Handles do not outlive a stop.
func (e *Emulator) Stops() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.epoch
}
