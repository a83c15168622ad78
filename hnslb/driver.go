// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import "context"

// Driver reads and writes HNS. It is the only interface between hnsproxy and Windows.
//
// Contract, proven for each driver by package drivertest:
//   - Every error is an *Error, so it has a class. Only class NotFound means that an object
//     does not exist, and for a load balancer only if ProvesAbsent says so. If the HNS
//     service is unavailable or a call times out, the class is Unavailable or Timeout, and
//     the call may still have taken effect (law 6).
//   - Values returned belong to the caller. IDs are folded (see ID).
//   - All methods may be called from several goroutines. HNS carries out writes one at a
//     time, so callers that want order use one goroutine.
//   - HNS cannot cancel a call. A driver that reaches a real HNS checks ctx between calls
//     only; wrapped in WithTimeout, a call returns Timeout when ctx ends, while the call in
//     HNS may go on and still take effect.
//   - Nothing is retried and nothing is remembered between calls, except the HNS version,
//     which does not change under a running process.
type Driver interface {
	// Features returns the version of HNS and what it supports. It is cheap after the first call.
	Features(ctx context.Context) (Features, error)

	// Network returns the named network. If it does not exist the error is NotFound, with a
	// *NetworkNotFound as cause that lists the existing networks, which are read only in this case.
	Network(ctx context.Context, name string) (Network, error)

	// Endpoints lists the endpoints of the whole host, not of one network only, since a load
	// balancer that references an endpoint of another network is foreign. Objects deleted while the
	// list is made are left out.
	Endpoints(ctx context.Context) ([]Endpoint, error)

	// LoadBalancers lists the load balancers of the whole host, including half-made ones. Objects
	// deleted while the list is made are left out. Only this method sets LoadBalancer.Degraded.
	LoadBalancers(ctx context.Context) ([]LoadBalancer, error)

	// CreateEndpoint creates an endpoint on e.Network; e.ID must be empty. It returns the endpoint
	// as stored by HNS. Errors: NotFound (network), Invalid (address outside the subnets or
	// reserved), AlreadyExists.
	CreateEndpoint(ctx context.Context, e Endpoint) (Endpoint, error)

	// DeleteEndpoint deletes an endpoint; NotFound if it does not exist. HNS deletes it even if a
	// load balancer references it.
	DeleteEndpoint(ctx context.Context, id ID) error

	// CreateLoadBalancer creates a load balancer; lb.ID must be empty. It returns the load balancer
	// as stored by HNS. Errors: PortInUse or AlreadyExists if the frontend is occupied, Invalid for
	// an empty or overlong endpoint list, NotFound for an unknown endpoint.
	CreateLoadBalancer(ctx context.Context, lb LoadBalancer) (LoadBalancer, error)

	// UpdateLoadBalancer updates the load balancer lb.ID in place and returns it as stored by HNS
	// afterwards, which may differ from what was requested: HNS 15.4 reports success without
	// changing anything. Only the endpoint list, the source VIP and the internal port may differ
	// from the existing ones. Errors: NotFound, Unsupported (HNS without modify).
	UpdateLoadBalancer(ctx context.Context, lb LoadBalancer) (LoadBalancer, error)

	// DeleteLoadBalancer deletes a load balancer; NotFound if it does not exist.
	DeleteLoadBalancer(ctx context.Context, id ID) error
}

// Verb names a Driver method in errors, logs, metrics, faults and counts.
type Verb string

// The verbs, one per method of Driver.
const (
	VerbFeatures           Verb = "Features"
	VerbNetwork            Verb = "Network"
	VerbEndpoints          Verb = "Endpoints"
	VerbLoadBalancers      Verb = "LoadBalancers"
	VerbCreateEndpoint     Verb = "CreateEndpoint"
	VerbDeleteEndpoint     Verb = "DeleteEndpoint"
	VerbCreateLoadBalancer Verb = "CreateLoadBalancer"
	VerbUpdateLoadBalancer Verb = "UpdateLoadBalancer"
	VerbDeleteLoadBalancer Verb = "DeleteLoadBalancer"
)

// Verbs lists all verbs, reads first.
func Verbs() []Verb {
	return []Verb{
		VerbFeatures, VerbNetwork, VerbEndpoints, VerbLoadBalancers,
		VerbCreateEndpoint, VerbDeleteEndpoint,
		VerbCreateLoadBalancer, VerbUpdateLoadBalancer, VerbDeleteLoadBalancer,
	}
}

// IsWrite returns whether the verb changes HNS.
func (v Verb) IsWrite() bool {
	switch v {
	case VerbFeatures, VerbNetwork, VerbEndpoints, VerbLoadBalancers, VerbWatch, VerbServiceProcess:
		return false
	}
	return true
}
