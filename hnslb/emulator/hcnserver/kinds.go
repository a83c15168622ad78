// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"context"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// This file joins the three kinds of objects to the emulator.

func (s *Server) networks() *kind {
	return &kind{
		name: kindNetwork, collection: "networks", list: hnslb.VerbNetwork, missing: hnslb.ResultNetworkNotFound,
		all: func(o emulator.Objects) []object {
			var all []object
			for _, n := range o.Networks() {
				all = append(all, networkObject(n, s.hns.Profile()))
			}
			return all
		},
		find: func(o emulator.Objects, id hnslb.ID) (object, bool) {
			n, ok := o.Network(id)
			return networkObject(n, s.hns.Profile()), ok
		},
		create: func(ctx context.Context, document string, chosen, _ hnslb.ID) (hnslb.ID, error) {
			var doc networkDocument
			if err := readJSON(document, &doc); err != nil {
				return "", err
			}
			id, err := chosenID(chosen, doc.ID)
			if err != nil {
				return "", err
			}
			spec, err := readNetwork(doc)
			if err != nil {
				return "", err
			}
			n, err := s.hns.PlaceNetwork(ctx, spec, id)
			return n.ID, err
		},
		createV1: s.createV1Network,
		modify:   s.modifyNetwork,
		remove:   s.hns.RemoveNetwork,
	}
}

func networkObject(n emulator.NetworkState, p profiles.Profile) object {
	return object{
		id: n.ID, name: n.Name,
		v1: func() any { return writeV1Network(n, p) },
		v2: func() any { return writeNetwork(n) },
	}
}

// modifyRequest is the envelope that networks and endpoints are changed with [A: Modify
// requests].
type modifyRequest struct {
	ResourceType, RequestType string
	Settings                  struct{ Policies []policyDocument }
}

// modifyNetwork adds and removes RemoteSubnetRoute policies, all of the request or none. It
// goes by prefix and provider address, since the emulator keeps nothing else of them.
func (s *Server) modifyNetwork(ctx context.Context, id hnslb.ID, document string) error {
	var request modifyRequest
	if err := readJSON(document, &request); err != nil {
		return err
	}
	var routes []hnslb.RemoteSubnet
	for _, p := range request.Settings.Policies {
		if p.Type != policyRemoteSubnet {
			return refuse(hnslb.ResultRequestUnsupported, "policy %s", p.Type)
		}
		r, err := readRemoteSubnet(p)
		if err != nil {
			return err
		}
		routes = append(routes, r)
	}
	change, err := changeOf(request)
	if err != nil {
		return err
	}
	return s.hns.ChangeNetwork(ctx, id, func(had []hnslb.RemoteSubnet) ([]hnslb.RemoteSubnet, error) {
		var err error
		for _, r := range routes {
			if had, err = change(had, r); err != nil {
				return nil, err
			}
		}
		return had, nil
	})
}

type routeChange func(had []hnslb.RemoteSubnet, r hnslb.RemoteSubnet) ([]hnslb.RemoteSubnet, error)

// changeOf returns what a request does to each route. That a route that is there cannot be
// added is [C: flannel removes before it adds], as that one that is not cannot be removed.
func changeOf(request modifyRequest) (routeChange, error) {
	switch request.ResourceType + " " + request.RequestType {
	case "Policy Add":
		return func(had []hnslb.RemoteSubnet, r hnslb.RemoteSubnet) ([]hnslb.RemoteSubnet, error) {
			if slices.Contains(had, r) {
				return nil, refuse(resultPolicyExists, "")
			}
			return append(had, r), nil
		}, nil
	case "Policy Remove":
		return func(had []hnslb.RemoteSubnet, r hnslb.RemoteSubnet) ([]hnslb.RemoteSubnet, error) {
			i := slices.Index(had, r)
			if i < 0 {
				return nil, refuse(resultPolicyNotFound, "")
			}
			return slices.Delete(had, i, i+1), nil
		}, nil
	}
	return nil, refuse(hnslb.ResultRequestUnsupported, "%s of %s", request.RequestType, request.ResourceType)
}

func (s *Server) endpoints() *kind {
	return &kind{
		name: kindEndpoint, collection: "endpoints", list: hnslb.VerbEndpoints, missing: hnslb.ResultEndpointNotFound,
		all: func(o emulator.Objects) []object {
			networks := map[hnslb.ID]hnslb.Network{}
			for _, n := range o.Networks() {
				networks[n.ID] = n.Network
			}
			var all []object
			for _, ep := range o.Endpoints() {
				all = append(all, s.endpointObject(ep, networks[ep.Network]))
			}
			return all
		},
		find: func(o emulator.Objects, id hnslb.ID) (object, bool) {
			ep, ok := o.Endpoint(id)
			n, _ := o.Network(ep.Network) // HNS deletes endpoints with their network
			return s.endpointObject(ep, n.Network), ok
		},
		create: func(ctx context.Context, document string, chosen, parent hnslb.ID) (hnslb.ID, error) {
			var doc endpointDocument
			if err := readJSON(document, &doc); err != nil {
				return "", err
			}
			ep, err := readEndpoint(doc, parent)
			if err != nil {
				return "", err
			}
			if ep.ID, err = chosenID(chosen, doc.ID); err != nil {
				return "", err
			}
			made, err := s.hns.PlaceEndpoint(ctx, ep)
			return made.ID, err
		},
		createV1: s.createV1Endpoint,
		modify: func(ctx context.Context, _ hnslb.ID, _ string) error {
			if err := s.pass(ctx); err != nil {
				return err
			}
			return refuse(hnslb.ResultRequestUnsupported, "the emulator keeps no endpoint policies")
		},
		remove: s.hns.DeleteEndpoint,
	}
}

func (s *Server) endpointObject(ep emulator.EndpointState, n hnslb.Network) object {
	return object{
		id: ep.ID, name: ep.Name, network: ep.Network,
		v1: func() any { return writeV1Endpoint(ep, n, s.hns.Profile()) },
		v2: func() any { return writeEndpoint(ep.Endpoint, n, s.hns.Profile().Quirks) },
	}
}

func (s *Server) loadBalancers() *kind {
	return &kind{
		name: kindLoadBalancer, collection: "policylists", list: hnslb.VerbLoadBalancers, missing: hnslb.ResultElementNotFound,
		all: func(o emulator.Objects) []object {
			var all []object
			for _, lb := range o.LoadBalancers() {
				all = append(all, s.balancerObject(lb))
			}
			return all
		},
		find: func(o emulator.Objects, id hnslb.ID) (object, bool) {
			lb, ok := o.LoadBalancer(id)
			return s.balancerObject(lb), ok
		},
		create: func(ctx context.Context, document string, chosen, _ hnslb.ID) (hnslb.ID, error) {
			var doc balancerDocument
			if err := readJSON(document, &doc); err != nil {
				return "", err
			}
			lb, err := readBalancer(doc)
			if err != nil {
				return "", err
			}
			if lb.ID, err = chosenID(chosen, doc.ID); err != nil {
				return "", err
			}
			made, err := s.hns.PlaceLoadBalancer(ctx, lb)
			return made.ID, err
		},
		createV1: s.createV1Balancer,
		// The document is a whole load balancer and no envelope; the handle says which one
		// it replaces [A: Modify requests].
		modify: func(ctx context.Context, id hnslb.ID, document string) error {
			var doc balancerDocument
			if err := readJSON(document, &doc); err != nil {
				return err
			}
			lb, err := readBalancer(doc)
			if err != nil {
				return err
			}
			lb.ID = id
			_, err = s.hns.UpdateLoadBalancer(ctx, lb)
			return err
		},
		remove: s.hns.DeleteLoadBalancer,
	}
}

func (s *Server) balancerObject(lb emulator.LoadBalancerState) object {
	return object{
		id: lb.ID,
		v1: func() any { return writeV1Balancer(lb, s.hns.Profile()) },
		v2: func() any { return writeBalancer(lb.LoadBalancer) },
	}
}
