// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/objects"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// Plan is a preview with what it is made from.
type Plan struct {
	Preview
	// Problems are what is wrong with the objects; Failed tells that something could not be
	// used.
	Problems []error
	Failed   bool

	opts  *options.Options
	store *services.Store
	node  services.Node
	// object is the Node, nil for none.
	object *corev1.Node
	hns    HNS
	env    *desired.Env
	// byID says where in hns an endpoint is.
	byID map[hnslb.ID]int
}

// HNS is what HNS holds before a plan.
type HNS struct {
	Network       hnslb.Network
	Features      hnslb.Features
	Endpoints     []hnslb.Endpoint
	LoadBalancers []hnslb.LoadBalancer
	// AssumeLocal says that the pods of this node have their endpoints.
	AssumeLocal bool
	// Text says which HNS this is.
	Text string
}

// Empty is an HNS that holds nothing but a network and the pods of this node.
func Empty(n hnslb.Network, f hnslb.Features) HNS {
	return HNS{Network: n, Features: f, AssumeLocal: true, Text: "an HNS that holds only the pods of this node"}
}

// Read reads what HNS holds; text says which HNS it is.
func Read(ctx context.Context, d hnslb.Driver, network, text string) (HNS, error) {
	out := HNS{Text: text}
	var err error
	if out.Features, err = d.Features(ctx); err != nil {
		return out, fmt.Errorf("read HNS: %w", err)
	}
	if out.Network, err = d.Network(ctx, network); err != nil {
		return out, fmt.Errorf("read HNS (set --network-name to choose the network): %w", err)
	}
	if out.Endpoints, err = d.Endpoints(ctx); err != nil {
		return out, fmt.Errorf("read HNS: %w", err)
	}
	if out.LoadBalancers, err = d.LoadBalancers(ctx); err != nil {
		return out, fmt.Errorf("read HNS: %w", err)
	}
	return out, nil
}

// NewPlan takes the objects to plan for, which belong to the plan from then on, and what was
// wrong with the files.
func NewPlan(o *options.Options, all objects.Objects, problems []error) *Plan {
	p := &Plan{opts: o, store: services.NewStore(o.Hostname, time.Time{})}
	for _, err := range problems {
		p.problem(err, objects.IsWarning(err))
	}
	p.fill(all)
	p.findNode(all.Nodes)
	return p
}

// Node is the object of this node, nil if there is none.
func (p *Plan) Node() *corev1.Node { return p.object }

// Make plans on an HNS.
func (p *Plan) Make(hns HNS) {
	p.hns = hns
	p.byID = map[hnslb.ID]int{}
	for i, e := range hns.Endpoints {
		p.byID[e.ID] = i
	}
	wanted := p.opts.Desired()
	p.env = desired.NewEnv(p.node, hns.Network, hns.Features, wanted).
		WithRoot(desired.FindRoot(hns.Endpoints, hns.Network.ID, wanted.RootEndpoint))
	p.Preview = Make(Input{
		Services:      p.store.Take(),
		Env:           p.env,
		Endpoints:     hns.Endpoints,
		LoadBalancers: hns.LoadBalancers,
		AssumeLocal:   hns.AssumeLocal,
	})
}

// fill puts objects into the store. Most of what cannot be used of them was refused before.
func (p *Plan) fill(all objects.Objects) {
	gates, _ := p.opts.Gates()
	for _, s := range all.Services {
		if !gates.Enabled(options.AllowExternalIPs) {
			s.Spec.ExternalIPs = nil
		}
		if _, err := p.store.SetService(s); err != nil {
			p.problem(fmt.Errorf("in Service %s: %w", klog.KObj(s), err), false)
		}
	}
	for _, s := range all.EndpointSlices {
		if _, err := p.store.SetSlice(nil, s); err != nil {
			p.problem(fmt.Errorf("in EndpointSlice %s: %w", klog.KObj(s), err), false)
		}
	}
}

// findNode finds this node among all.
func (p *Plan) findNode(all []*corev1.Node) {
	p.node = p.opts.Node()
	var names []string
	for _, obj := range all {
		if obj.Name != p.opts.Hostname {
			names = append(names, obj.Name)
			continue
		}
		n, err := services.ReadNode(obj)
		if err != nil {
			p.problem(fmt.Errorf("in Node %s: %w", obj.Name, err), false)
		}
		p.node, p.object = n.WithOverrides(p.node.IPs), obj
		return
	}
	text := fmt.Sprintf("Node %q not found; treating all endpoints as remote", p.node.Name)
	if len(names) > 0 {
		text += "; --hostname-override takes one of: " + strings.Join(names, ", ")
	}
	p.problem(errors.New(text), true)
}

// problem notes what is wrong; a warning does not fail the plan.
func (p *Plan) problem(err error, warning bool) {
	p.Problems = append(p.Problems, err)
	p.Failed = p.Failed || !warning
}
