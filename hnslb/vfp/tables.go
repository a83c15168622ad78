// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package vfp

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Values are tables as plain lists.
type Values struct {
	Networks      []Network
	Endpoints     []Endpoint
	LoadBalancers []LoadBalancer
	// Listeners are ports on which programs of the host listen.
	Listeners []HostPort
}

// index finds values without a scan.
type index struct {
	networks  []Network
	endpoints map[hnslb.ID]Endpoint
	byIP      map[netip.Addr][]Endpoint
	// local are the networks with a local endpoint.
	local     map[hnslb.ID]bool
	frontends map[hnslb.FrontendKey]LoadBalancer
	listeners map[HostPort]bool
}

// Index makes tables of lists. What contradicts the rest, as it may in the lists of a real
// HNS, is left out and returned as errors.
func Index(v Values) (Tables, []error) {
	x := &index{
		endpoints: map[hnslb.ID]Endpoint{}, byIP: map[netip.Addr][]Endpoint{}, local: map[hnslb.ID]bool{},
		frontends: map[hnslb.FrontendKey]LoadBalancer{}, listeners: map[HostPort]bool{},
	}
	var left []error
	leave := func(err error, what string, args ...any) {
		if err != nil {
			left = append(left, fmt.Errorf("%s: %w", fmt.Sprintf(what, args...), err))
		}
	}
	for _, n := range v.Networks {
		leave(x.addNetwork(n), "network %q", n.Name)
	}
	for _, ep := range v.Endpoints {
		leave(x.addEndpoint(ep), "endpoint %s %v", ep.ID, ep.IPs)
	}
	for _, lb := range v.LoadBalancers {
		leave(x.addLoadBalancer(lb), "load balancer %s (%s)", lb.ID, lb.ObjectName())
	}
	for _, p := range v.Listeners {
		x.listeners[p] = true
	}
	return x, left
}

func (x *index) addNetwork(n Network) error {
	n.ID = hnslb.NewID(string(n.ID))
	if _, used := x.Network(n.ID); used {
		return fmt.Errorf("another network has the ID %q", n.ID)
	}
	x.networks = append(x.networks, n)
	return nil
}

func (x *index) addEndpoint(ep Endpoint) error {
	ep.ID, ep.Network = hnslb.NewID(string(ep.ID)), hnslb.NewID(string(ep.Network))
	if _, known := x.Network(ep.Network); !known {
		return fmt.Errorf("there is no network %q", ep.Network)
	}
	if _, used := x.endpoints[ep.ID]; used {
		return fmt.Errorf("another endpoint has its ID")
	}
	if len(ep.IPs) == 0 {
		return fmt.Errorf("it has no address")
	}
	for _, ip := range ep.IPs {
		if slices.ContainsFunc(x.byIP[ip], func(o Endpoint) bool { return o.Network == ep.Network && o.Remote == ep.Remote }) {
			return fmt.Errorf("%s has another endpoint of that kind", ip)
		}
	}
	x.endpoints[ep.ID] = ep
	for _, ip := range ep.IPs {
		x.byIP[ip] = append(x.byIP[ip], ep)
	}
	x.local[ep.Network] = x.local[ep.Network] || !ep.Remote
	return nil
}

func (x *index) addLoadBalancer(lb LoadBalancer) error {
	lb.Network = hnslb.NewID(string(lb.Network))
	lb.Endpoints = slices.Clone(lb.Endpoints)
	for i, id := range lb.Endpoints {
		lb.Endpoints[i] = hnslb.NewID(string(id))
	}
	for k := range Frontends(lb.LoadBalancer) {
		if _, taken := x.frontends[k]; taken {
			return fmt.Errorf("%s is taken", k)
		}
	}
	for k := range Frontends(lb.LoadBalancer) {
		x.frontends[k] = lb
	}
	return nil
}

// Networks is part of Tables, as are the methods below.
func (x *index) Networks() iter.Seq[Network] { return slices.Values(x.networks) }

func (x *index) Network(id hnslb.ID) (Network, bool) {
	for _, n := range x.networks {
		if n.ID == id {
			return n, true
		}
	}
	return Network{}, false
}

func (x *index) Endpoint(id hnslb.ID) (Endpoint, bool) {
	ep, ok := x.endpoints[id]
	return ep, ok
}

func (x *index) EndpointsAt(ip netip.Addr) iter.Seq[Endpoint] { return slices.Values(x.byIP[ip]) }

func (x *index) HasLocalEndpoint(network hnslb.ID) bool { return x.local[network] }

func (x *index) Frontend(k hnslb.FrontendKey) (LoadBalancer, bool) {
	lb, ok := x.frontends[k]
	return lb, ok
}

func (x *index) Listens(p HostPort) bool { return x.listeners[p] }
