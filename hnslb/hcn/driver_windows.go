// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/Microsoft/go-winio/pkg/guid"
	"github.com/Microsoft/hcsshim"
	"github.com/Microsoft/hcsshim/hcn"
	"golang.org/x/sys/windows"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Driver is the HNS of this Windows node.
type Driver struct {
	api       api
	endpoints *endpointLister
	balancers *balancerLister

	mu       sync.Mutex
	features *hnslb.Features // nil until HNS said its version
}

var _ hnslb.Driver = (*Driver)(nil)

// New returns the driver. It makes no call, so it also succeeds where there is no HNS. Warn
// gets what is said once, in a sentence: that lists must take the slow way. It may be nil.
func New(warn func(message string)) *Driver {
	a := newAPI()
	return &Driver{api: a, endpoints: newEndpointLister(a, warn), balancers: newBalancerLister(a, warn)}
}

// run makes one call, unless ctx has ended.
func run[T any](ctx context.Context, n callName, needs *windows.LazyProc, call func() (T, error)) (T, error) {
	if err := alive(ctx, n.verb, n.object); err != nil {
		var zero T
		return zero, err
	}
	return do(n, needs, call)
}

// checkGUID refuses an ID that hcsshim would refuse without a class.
func checkGUID(what string, id hnslb.ID) error {
	if _, err := guid.FromString(string(id)); err != nil {
		return fmt.Errorf("%s ID %q: %w", what, id, err)
	}
	return nil
}

// errHasID refuses a create with an ID: HNS would take the ID, which callers do not mean.
var errHasID = errors.New("a new object must not have an ID")

// Features is part of hnslb.Driver: 1 call, once per process.
func (d *Driver) Features(ctx context.Context) (hnslb.Features, error) {
	d.mu.Lock()
	known := d.features
	d.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	g, err := run(ctx, callName{hnslb.VerbFeatures, "HNS"}, d.api.v1, hcn.GetGlobals)
	if err != nil {
		return hnslb.Features{}, err
	}
	f := hnslb.FeaturesOf(hnslb.Version{Major: g.Version.Major, Minor: g.Version.Minor})
	d.mu.Lock()
	d.features = &f
	d.mu.Unlock()
	return f, nil
}

// Network is part of hnslb.Driver: 4 calls, 2 when there is none, 5 when V2 shows no
// management address.
func (d *Driver) Network(ctx context.Context, name string) (hnslb.Network, error) {
	n := callName{hnslb.VerbNetwork, name}
	doc, err := run(ctx, n, d.api.network, func() (*hcn.HostComputeNetwork, error) {
		return hcn.GetNetworkByName(name)
	})
	if gone(err) {
		return hnslb.Network{}, n.fail(hnslb.NotFound, d.missing(ctx, name))
	}
	if err != nil {
		return hnslb.Network{}, err
	}
	network := parseNetwork(*doc)
	if !network.ManagementIP.IsValid() {
		v1, err := run(ctx, n, d.api.v1, func() (*hcsshim.HNSNetwork, error) {
			return hcsshim.HNSNetworkRequest("GET", doc.Id, "")
		})
		switch {
		case hnslb.OutcomeUnknown(err):
			return hnslb.Network{}, err
		case err == nil:
			network.ManagementIP = parseManagementIP(v1.ManagementIP)
		}
	}
	network.Adapters, err = hostAdapters()
	network.HostMAC = macOf(network.ManagementIP, network.Adapters)
	if err != nil && network.ManagementIP.IsValid() && network.HostMAC == "" {
		return hnslb.Network{}, n.fail(hnslb.Other, err)
	}
	return network, nil
}

// missing says which networks exist beside one that does not, by one call of V1: V2 makes
// four and three for each network, and the answer may be asked for every other second.
func (d *Driver) missing(ctx context.Context, name string) *hnslb.NetworkNotFound {
	all, err := run(ctx, callName{hnslb.VerbNetwork, "all"}, d.api.v1, func() ([]hcsshim.HNSNetwork, error) {
		return hcsshim.HNSListNetworkRequest("GET", "", "")
	})
	out := &hnslb.NetworkNotFound{Name: name, Unknown: err}
	for _, n := range all {
		out.Existing = append(out.Existing, hnslb.NetworkName{Name: n.Name, Type: n.Type})
	}
	return out
}

// Endpoints is part of hnslb.Driver. Its cost stands in the package comment.
func (d *Driver) Endpoints(ctx context.Context) ([]hnslb.Endpoint, error) {
	return d.endpoints.list(ctx)
}

// LoadBalancers is part of hnslb.Driver. Its cost stands in the package comment.
func (d *Driver) LoadBalancers(ctx context.Context) ([]hnslb.LoadBalancer, error) {
	return d.balancers.list(ctx)
}

// CreateEndpoint is part of hnslb.Driver: 5 calls.
func (d *Driver) CreateEndpoint(ctx context.Context, e hnslb.Endpoint) (hnslb.Endpoint, error) {
	n := callName{hnslb.VerbCreateEndpoint, e.ObjectName()}
	if e.ID != "" {
		return hnslb.Endpoint{}, n.fail(hnslb.Invalid, errHasID)
	}
	doc, err := composeEndpoint(e)
	if err == nil {
		err = checkGUID("network", e.Network)
	}
	if err != nil {
		return hnslb.Endpoint{}, n.fail(hnslb.Invalid, err)
	}
	made, err := run(ctx, n, d.api.endpoint, doc.Create)
	if err != nil {
		return hnslb.Endpoint{}, err
	}
	return parseEndpoint(*made), nil
}

// DeleteEndpoint is part of hnslb.Driver: 1 call.
func (d *Driver) DeleteEndpoint(ctx context.Context, id hnslb.ID) error {
	n := callName{hnslb.VerbDeleteEndpoint, string(id)}
	if err := checkGUID("endpoint", id); err != nil {
		return n.fail(hnslb.Invalid, err)
	}
	_, err := run(ctx, n, d.api.endpoint, func() (struct{}, error) {
		return struct{}{}, (&hcn.HostComputeEndpoint{Id: string(id)}).Delete()
	})
	return err
}

// CreateLoadBalancer is part of hnslb.Driver: 3 calls.
func (d *Driver) CreateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	n := callName{hnslb.VerbCreateLoadBalancer, lb.ObjectName()}
	if lb.ID != "" {
		return hnslb.LoadBalancer{}, n.fail(hnslb.Invalid, errHasID)
	}
	doc, err := composeLoadBalancer(lb)
	if err != nil {
		return hnslb.LoadBalancer{}, n.fail(hnslb.Invalid, err)
	}
	return d.written(run(ctx, n, d.api.balancer, doc.Create))
}

// UpdateLoadBalancer is part of hnslb.Driver: 4 calls.
func (d *Driver) UpdateLoadBalancer(ctx context.Context, lb hnslb.LoadBalancer) (hnslb.LoadBalancer, error) {
	n := callName{hnslb.VerbUpdateLoadBalancer, lb.ObjectName()}
	doc, err := composeLoadBalancer(lb)
	if err == nil {
		err = checkGUID("load balancer", lb.ID)
	}
	if err != nil {
		return hnslb.LoadBalancer{}, n.fail(hnslb.Invalid, err)
	}
	return d.written(run(ctx, n, d.api.modify, func() (*hcn.HostComputeLoadBalancer, error) {
		return doc.Update(string(lb.ID))
	}))
}

// written reads back what a write made of a load balancer.
func (d *Driver) written(doc *hcn.HostComputeLoadBalancer, err error) (hnslb.LoadBalancer, error) {
	if err != nil {
		return hnslb.LoadBalancer{}, err
	}
	lb := parseLoadBalancer(*doc)
	d.balancers.remember(lb)
	return lb, nil
}

// DeleteLoadBalancer is part of hnslb.Driver: 1 call.
func (d *Driver) DeleteLoadBalancer(ctx context.Context, id hnslb.ID) error {
	n := callName{hnslb.VerbDeleteLoadBalancer, string(id)}
	if err := checkGUID("load balancer", id); err != nil {
		return n.fail(hnslb.Invalid, err)
	}
	_, err := run(ctx, n, d.api.balancer, func() (struct{}, error) {
		return struct{}{}, (&hcn.HostComputeLoadBalancer{Id: string(id)}).Delete()
	})
	if err == nil || gone(err) {
		d.balancers.forget(id)
	}
	return err
}
