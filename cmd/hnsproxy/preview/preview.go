// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/observed"
	"github.com/hnsproxy/hnsproxy/internal/plan"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// Action is what would become of a frontend.
type Action string

// The actions.
const (
	// Create: HNS has nothing there.
	Create Action = "create"
	// Update: HNS has it otherwise, and changes it in place.
	Update Action = "update"
	// Replace: HNS has it otherwise, and must delete and create it.
	Replace Action = "replace"
	// Keep: HNS has it as it should be.
	Keep Action = "keep"
	// Wait: it is for backends on this node that the network plugin has not brought.
	Wait Action = "wait"
	// Block: it cannot be programmed.
	Block Action = "block"
)

// Input is what a preview is made from. Nothing of it is changed.
type Input struct {
	Services []services.Input
	Env      *desired.Env
	// Endpoints and LoadBalancers are what HNS holds.
	Endpoints     []hnslb.Endpoint
	LoadBalancers []hnslb.LoadBalancer
	// AssumeLocal takes for granted that the network plugin has brought the endpoints of
	// all pods of this node.
	AssumeLocal bool
}

// Frontend is one frontend and what would become of it.
type Frontend struct {
	*desired.Frontend
	Action Action
	// Note says why it is blocked or waits. What Windows cannot do for it is in its Limits.
	Note desired.Note
}

// Preview is what would be done.
type Preview struct {
	// Frontends in order of Service, kind and frontend.
	Frontends []Frontend
	// Steps in the order in which they would be done.
	Steps []plan.Step

	state *desired.State
}

// maxRounds ends a preview that does not settle, which would be a mistake of the planner.
// What frees an endpoint is done in one round, its deletion in the next.
const maxRounds = 8

// Make computes a preview.
func Make(in Input) Preview {
	m := &maker{
		in: plan.Input{
			State:  desired.NewState(),
			View:   observed.New(in.Env.SourceVIP()),
			Env:    in.Env,
			Modify: in.Env.Features().Modify,
		},
		actions: map[hnslb.FrontendKey]Action{},
	}
	for _, s := range in.Services {
		m.in.State.Set(s.Name, desired.Compute(s, in.Env))
	}
	network := in.Env.Network()
	network.HostMAC = in.Env.Host().MAC
	m.in.View.SetNetwork(network)
	m.in.View.Replace(in.Endpoints, in.LoadBalancers)
	if m.in.View.AnyHalfMade() {
		// One list does not tell what failed from what is just being made. The proxy looks again.
		m.in.View.Replace(in.Endpoints, in.LoadBalancers)
	}
	if in.AssumeLocal {
		m.assumeLocal()
	}
	plan.LearnFlags(m.in.State, m.in.View)
	for range maxRounds {
		if !m.round() {
			break
		}
	}
	return Preview{Frontends: m.frontends(), Steps: m.steps, state: m.in.State}
}

// maker makes one preview.
type maker struct {
	in      plan.Input
	steps   []plan.Step
	actions map[hnslb.FrontendKey]Action
}

func (m *maker) assumeLocal() {
	for f := range m.in.State.All {
		for _, b := range f.Backends {
			if b.Local && m.in.View.Endpoint(b.IP) == nil {
				m.in.View.PutEndpoint(hnslb.Endpoint{
					ID: hnslb.NewID("local-" + b.IP.String()), Network: m.in.Env.Network().ID, IPs: []netip.Addr{b.IP},
				})
			}
		}
	}
}

// round does everything that is due, in the order of the proxy, and tells whether there
// was anything.
func (m *maker) round() bool {
	before := len(m.steps)
	m.do(plan.SourceVIP(m.in))
	keys, ips := plan.All(m.in)
	slices.SortStableFunc(keys, func(a, b hnslb.FrontendKey) int {
		return cmp.Compare(plan.ClassOf(m.in, a), plan.ClassOf(m.in, b))
	})
	for _, key := range keys {
		u := plan.Frontend(m.in, key)
		m.note(key, u)
		m.do(u)
	}
	for _, id := range m.in.View.HalfMade() {
		m.do(plan.HalfMade(m.in, id))
	}
	for _, ip := range ips {
		m.do(plan.Endpoint(m.in, ip))
	}
	return len(m.steps) > before
}

// note remembers the first thing that is done to a frontend.
func (m *maker) note(key hnslb.FrontendKey, u plan.Unit) {
	action := Action("")
	for _, s := range u.Steps {
		switch s.(type) {
		case plan.UpdateLoadBalancer:
			action = Update
		case plan.DeleteLoadBalancer:
			action = Replace
		case plan.CreateLoadBalancer:
			if action == "" {
				action = Create
			}
		}
	}
	if _, known := m.actions[key]; !known && action != "" {
		m.actions[key] = action
	}
}

// do takes the steps of a unit for done.
func (m *maker) do(u plan.Unit) {
	view := m.in.View
	for _, s := range u.Steps {
		id := hnslb.NewID(fmt.Sprintf("step-%d", len(m.steps)+1))
		switch s := s.(type) {
		case plan.CreateEndpoint:
			if view.Endpoint(s.IP()) != nil {
				continue // made for another frontend
			}
			e := s.Endpoint
			e.ID = id
			view.PutEndpoint(e)
		case plan.DeleteEndpoint:
			view.RemoveEndpoint(s.ID)
		case plan.DeleteLoadBalancer:
			view.RemoveLoadBalancer(s.ID, s.Key)
		case plan.CreateLoadBalancer:
			m.put(s.Target, id)
		case plan.UpdateLoadBalancer:
			m.put(s.Target, s.LoadBalancer.ID)
		}
		m.steps = append(m.steps, s)
	}
}

// put takes a load balancer for written, with the endpoints that were made for it.
func (m *maker) put(t plan.Target, id hnslb.ID) {
	lb := t.LoadBalancer
	lb.ID, lb.Endpoints = id, nil
	for _, ip := range t.IPs {
		if e := m.in.View.Endpoint(ip); e != nil {
			lb.Endpoints = append(lb.Endpoints, e.ID)
		}
	}
	m.in.View.PutLoadBalancer(lb)
}

// frontends says of each frontend what became of it.
func (m *maker) frontends() []Frontend {
	var out []Frontend
	for f := range m.in.State.All {
		action, note := m.verdict(f)
		out = append(out, Frontend{Frontend: f, Action: action, Note: note})
	}
	slices.SortFunc(out, func(a, b Frontend) int {
		return cmp.Or(services.CompareNames(a.Service, b.Service), cmp.Compare(a.Kind, b.Kind), a.Key.Compare(b.Key))
	})
	return out
}

func (m *maker) verdict(f *desired.Frontend) (Action, desired.Note) {
	if note, lost := m.in.State.Conflict(f); lost {
		return Block, note
	}
	u := plan.Frontend(m.in, f.Key)
	action, done := m.actions[f.Key]
	if !done {
		action = Keep
	}
	switch {
	case f.Blocked.Reason != "":
		return Block, f.Blocked
	case u.Blocked.Reason != "":
		return Block, u.Blocked
	case len(u.Waiting) > 0:
		reason := desired.LocalAwaited
		if m.in.View.LoadBalancer(f.Key) == nil {
			action, reason = Wait, desired.LocalMissing
		}
		return action, desired.Note{Reason: reason, Message: fmt.Sprintf("no HNS endpoint yet for %v", u.Waiting)}
	}
	return action, desired.Note{}
}
