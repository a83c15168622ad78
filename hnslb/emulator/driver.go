// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"context"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/vfp"
)

// Features returns what the profile's version can do. See hnslb.Driver.
func (e *Emulator) Features(ctx context.Context) (hnslb.Features, error) {
	c := call{verb: hnslb.VerbFeatures, object: func() string { return "version" }}
	return run(ctx, e, c, func() (hnslb.Features, error) {
		return hnslb.FeaturesOf(e.profile.Version), nil
	})
}

// Network returns the network of that name. See hnslb.Driver.
func (e *Emulator) Network(ctx context.Context, name string) (hnslb.Network, error) {
	c := call{verb: hnslb.VerbNetwork, object: func() string { return name }}
	n, err := run(ctx, e, c, func() (hnslb.Network, error) {
		if n := e.store.networkByName(name); n != nil {
			return shownNetwork(n), nil
		}
		// HNS answers an enumeration without a hit with an empty list, not with a code.
		missing := &hnslb.NetworkNotFound{Name: name}
		for _, n := range e.store.networks {
			missing.Existing = append(missing.Existing, hnslb.NetworkName{Name: n.Name, Type: n.Type})
		}
		return hnslb.Network{}, &hnslb.Error{Verb: hnslb.VerbNetwork, Object: name, Class: hnslb.NotFound, Err: missing}
	})
	return n, hnslb.WithNetworkNotFound(name, err)
}

// Endpoints lists the endpoints of the host. See hnslb.Driver.
func (e *Emulator) Endpoints(ctx context.Context) ([]hnslb.Endpoint, error) {
	c := call{verb: hnslb.VerbEndpoints, object: func() string { return "list" }}
	return run(ctx, e, c, func() ([]hnslb.Endpoint, error) {
		for range e.trouble.vanishing(len(e.store.endpointOrder.items)) {
			e.store.removeEndpoint(e.store.endpointOrder.items[0])
		}
		eps := publicEndpoints(e.store.endpointOrder.items)
		for i := range eps {
			eps[i].Name = e.profile.Quirks.ShownName(eps[i].Name, true)
		}
		return eps, nil
	})
}

// publicEndpoints copies endpoints, all their addresses into one piece of memory.
func publicEndpoints(eps []*endpoint) []hnslb.Endpoint {
	out := make([]hnslb.Endpoint, len(eps))
	ips := make([]netip.Addr, 0, len(eps))
	for i, ep := range eps {
		start := len(ips)
		ips = append(ips, ep.addrs()...)
		out[i] = publicEndpoint(ep, ips[start:len(ips):len(ips)])
	}
	return out
}

// LoadBalancers lists the load balancers of the host. See hnslb.Driver.
func (e *Emulator) LoadBalancers(ctx context.Context) ([]hnslb.LoadBalancer, error) {
	c := call{verb: hnslb.VerbLoadBalancers, object: func() string { return "list" }}
	return run(ctx, e, c, func() ([]hnslb.LoadBalancer, error) {
		for range e.trouble.vanishing(len(e.store.balancerOrder.items)) {
			e.store.removeLoadBalancer(e.store.balancerOrder.items[0])
		}
		out := make([]hnslb.LoadBalancer, len(e.store.balancerOrder.items))
		for i, b := range e.store.balancerOrder.items {
			out[i] = shown(e.profile.Quirks, b.LoadBalancer)
			out[i].Degraded = e.profile.Quirks.Degrades(b.noRules)
		}
		return out, nil
	})
}

// CreateEndpoint makes an endpoint. See hnslb.Driver.
func (e *Emulator) CreateEndpoint(ctx context.Context, ep hnslb.Endpoint) (hnslb.Endpoint, error) {
	return e.placeEndpoint(ctx, ep, ruleNoID)
}

// placeEndpoint makes an endpoint whose ID passes ruleID.
func (e *Emulator) placeEndpoint(ctx context.Context, ep hnslb.Endpoint, ruleID func(hnslb.ID) error) (hnslb.Endpoint, error) {
	ep.IPs = slices.Clone(ep.IPs)
	c := call{verb: hnslb.VerbCreateEndpoint, object: ep.ObjectName}
	return run(ctx, e, c, func() (hnslb.Endpoint, error) {
		if err := ruleID(ep.ID); err != nil {
			return hnslb.Endpoint{}, err
		}
		made, err := e.createEndpoint(ep)
		if err != nil {
			return hnslb.Endpoint{}, err
		}
		shown := publicEndpoint(made, slices.Clone(made.addrs()))
		shown.Name = e.profile.Quirks.ShownName(shown.Name, false)
		return shown, nil
	})
}

// createEndpoint checks the rules and makes the endpoint, with ep.ID if it has one.
func (e *Emulator) createEndpoint(ep hnslb.Endpoint) (*endpoint, error) {
	if err := e.ruleIDFree(ep.ID); err != nil {
		return nil, err
	}
	net := e.store.networkByID(hnslb.NewID(string(ep.Network)))
	if net == nil {
		return nil, refuse(hnslb.ResultElementNotFound, "") // HcnOpenNetwork
	}
	if !ep.Remote && len(ep.IPs) == 0 {
		ep.IPs = e.store.freeAddresses(net)
	}
	if err := e.endpointRules(net, ep); err != nil {
		return nil, err
	}
	if ep.MAC == "" {
		ep.MAC = podMAC(ep.IPs[0])
	}
	mac, ok := foldMAC(ep.MAC)
	if !ok {
		return nil, refuse(hnslb.ResultInvalidArgument, "MAC %q", ep.MAC)
	}
	ep.ID, ep.MAC = e.freshID(ep.ID), mac
	made := newEndpoint(net, ep)
	e.store.insertEndpoint(made)
	return made, nil
}

// freshID returns the free ID that a caller chose, or one that no object has.
func (e *Emulator) freshID(chosen hnslb.ID) hnslb.ID {
	id := hnslb.NewID(string(chosen))
	for id == "" || e.store.has(id) {
		id = e.ids.next()
	}
	return id
}

// DeleteEndpoint removes an endpoint; load balancers keep naming it. See hnslb.Driver.
func (e *Emulator) DeleteEndpoint(ctx context.Context, id hnslb.ID) error {
	c := call{verb: hnslb.VerbDeleteEndpoint, object: func() string { return string(id) }}
	_, err := run(ctx, e, c, func() (struct{}, error) {
		ep := e.store.endpoints[hnslb.NewID(string(id))]
		switch {
		case ep == nil:
			return struct{}{}, refuse(hnslb.ResultElementNotFound, "")
		case ep.remote && e.trouble.faults.EndpointDeleteLies:
			return struct{}{}, nil
		}
		e.store.removeEndpoint(ep)
		return struct{}{}, nil
	})
	return err
}

// CreateLoadBalancer makes a load balancer. See hnslb.Driver.
func (e *Emulator) CreateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	return e.placeLoadBalancer(ctx, lb, ruleNoID)
}

// placeLoadBalancer makes a load balancer whose ID passes ruleID.
func (e *Emulator) placeLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer, ruleID func(hnslb.ID) error) (hnslb.LoadBalancer, error) {
	lb = publicLoadBalancer(lb)
	c := call{
		verb:   hnslb.VerbCreateLoadBalancer,
		object: lb.ObjectName,
		failed: func() { e.leaveHalfMade(lb) },
	}
	return run(ctx, e, c, func() (hnslb.LoadBalancer, error) {
		if err := ruleID(lb.ID); err != nil {
			return hnslb.LoadBalancer{}, err
		}
		b, err := e.createLoadBalancer(lb)
		if err != nil {
			return hnslb.LoadBalancer{}, err
		}
		return shown(e.profile.Quirks, b.LoadBalancer), nil
	})
}

// createLoadBalancer checks the rules and makes the load balancer, with lb.ID if it has one.
func (e *Emulator) createLoadBalancer(lb hnslb.LoadBalancer) (*loadBalancer, error) {
	if err := e.ruleIDFree(lb.ID); err != nil {
		return nil, err
	}
	lb = e.keepKnownFields(lb)
	if err := e.loadBalancerRules(lb); err != nil {
		return nil, err
	}
	if err := e.frontendRules(lb); err != nil {
		return nil, err
	}
	lb.ID = e.freshID(lb.ID)
	b := newLoadBalancer(lb, e.store.networkOf(lb))
	b.noRules = e.trouble.faults.NoDataPath || e.lacksSourceVIP(lb)
	e.store.insertLoadBalancer(b)
	return b, nil
}

// lacksSourceVIP tells whether a load balancer comes before the endpoint of its source VIP; see
// Quirks.SourceVIPFirst. The host's own address needs none.
func (e *Emulator) lacksSourceVIP(lb hnslb.LoadBalancer) bool {
	n := e.store.networkOf(lb)
	if !e.profile.Quirks.SourceVIPFirst || n == nil || !n.IsOverlay() || !lb.SourceVIP.IsValid() {
		return false
	}
	return lb.SourceVIP != n.ManagementIP && e.store.endpointAt(n, lb.SourceVIP, false) == nil
}

// leaveHalfMade leaves what a failed create can leave: an object without port mappings.
func (e *Emulator) leaveHalfMade(lb hnslb.LoadBalancer) {
	if !e.trouble.faults.HalfMade {
		return
	}
	half := publicLoadBalancer(lb)
	half.ID = e.freshID("")
	half.Mappings = nil
	b := newLoadBalancer(half, e.store.networkOf(half))
	if e.profile.Quirks.HalfMadeHolds {
		for k := range vfp.Frontends(lb) {
			if e.store.frontends[k] == nil && !e.store.ports.leaked[k] {
				b.holds = append(b.holds, k)
				e.store.ports.leaked[k] = true
			}
		}
	}
	e.store.insertLoadBalancer(b)
}

// UpdateLoadBalancer replaces a load balancer in place. See hnslb.Driver.
func (e *Emulator) UpdateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	lb = publicLoadBalancer(lb)
	lb.ID = hnslb.NewID(string(lb.ID))
	c := call{verb: hnslb.VerbUpdateLoadBalancer, object: lb.ObjectName}
	return run(ctx, e, c, func() (hnslb.LoadBalancer, error) {
		b, err := e.modifyLoadBalancer(lb)
		if err != nil {
			return hnslb.LoadBalancer{}, err
		}
		return shown(e.profile.Quirks, b.LoadBalancer), nil
	})
}

func (e *Emulator) modifyLoadBalancer(lb hnslb.LoadBalancer) (*loadBalancer, error) {
	b := e.store.balancers[lb.ID]
	if b == nil {
		return nil, refuse(hnslb.ResultElementNotFound, "") // HcnOpenLoadBalancer
	}
	if err := e.ruleModifyExists(); err != nil {
		return nil, err
	}
	lb = e.keepKnownFields(lb)
	if err := e.loadBalancerRules(lb); err != nil {
		return nil, err
	}
	lb = modified(e.profile.Quirks, b.LoadBalancer, lb)
	if err := ruleModifyScope(b.LoadBalancer, lb); err != nil {
		return nil, err
	}
	if !e.profile.Quirks.ModifyLies && !e.trouble.faults.ModifyLies {
		e.store.replaceLoadBalancer(b, lb)
	}
	return b, nil
}

// DeleteLoadBalancer removes a load balancer. See hnslb.Driver.
func (e *Emulator) DeleteLoadBalancer(ctx context.Context, id hnslb.ID) error {
	c := call{verb: hnslb.VerbDeleteLoadBalancer, object: func() string { return string(id) }}
	_, err := run(ctx, e, c, func() (struct{}, error) {
		b := e.store.balancers[hnslb.NewID(string(id))]
		if b == nil {
			return struct{}{}, refuse(hnslb.ResultElementNotFound, "")
		}
		if err := e.ruleDelete(b); err != nil {
			return struct{}{}, err
		}
		e.store.removeLoadBalancer(b)
		if e.trouble.faults.LeakPorts {
			for k := range vfp.Frontends(b.LoadBalancer) {
				e.store.ports.leaked[k] = true
			}
		}
		return struct{}{}, nil
	})
	return err
}
