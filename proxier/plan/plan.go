// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/observed"
)

// Op is what a step does.
type Op uint8

// The steps, each one call of the driver.
const (
	CreateEndpoint Op = iota
	DeleteEndpoint
	CreateLoadBalancer
	UpdateLoadBalancer
	DeleteLoadBalancer
)

// Step is one change of HNS.
type Step struct {
	Op Op
	// ID of the object to update or delete.
	ID hnslb.ID
	// Endpoint to create; for a deletion only its address.
	Endpoint hnslb.Endpoint
	// Key of the load balancer.
	Key hnslb.FrontendKey
	// Frontend to create or update.
	Frontend *desired.Frontend
	// Backends to name, in order.
	Backends []netip.Addr
}

// Unit is what one frontend, or one address, needs. Its steps are carried out in order.
type Unit struct {
	Steps []Step
	// Blocked says why a wanted frontend gets no step.
	Blocked desired.Note
	// Waiting are local backends that HNS does not have yet (law 10).
	Waiting []netip.Addr
	// Held are backends left out since their endpoint failed a moment ago.
	Held []netip.Addr
	// Evict are addresses whose endpoint must make room: for a local one, or for one
	// with another provider address.
	Evict []netip.Addr
}

// Adjacent tells whether calls of the unit must follow one another in HNS without others
// between them: after a load balancer was deleted its VIP is dark until it is created
// (law 8).
func (u Unit) Adjacent() bool {
	deletes := slices.ContainsFunc(u.Steps, func(s Step) bool { return s.Op == DeleteLoadBalancer })
	return deletes && slices.ContainsFunc(u.Steps, func(s Step) bool { return s.Op == CreateLoadBalancer })
}

// Input is what plans are made from. Nothing of it is changed.
type Input struct {
	State *desired.State
	View  *observed.View
	Env   *desired.Env
	// Modify tells whether HNS changes load balancers in place.
	Modify bool
	// Held tells whether the endpoint of an address failed a moment ago; nil for never.
	Held func(netip.Addr) bool
}

// Frontend plans one frontend.
func Frontend(in Input, key hnslb.FrontendKey) Unit {
	var u Unit
	for _, twin := range in.View.Surplus(key) {
		u.Steps = append(u.Steps, Step{Op: DeleteLoadBalancer, ID: twin.ID, Key: key})
	}
	f, lb := in.State.Frontend(key), in.View.LoadBalancer(key)
	switch {
	case lb != nil && !lb.Ours:
		if f.Programmable() {
			u.Blocked = desired.Note{Reason: desired.ForeignHolder, Message: fmt.Sprintf(
				"load balancer %s, which is not ours, holds %s; delete it or change the Service", lb.ID, key)}
		}
	case !f.Programmable():
		if lb != nil {
			u.Steps = append(u.Steps, Step{Op: DeleteLoadBalancer, ID: lb.ID, Key: key})
		}
	default:
		u.program(in, f, lb)
	}
	return u
}

// program plans a frontend that has backends and that nobody else holds.
func (u *Unit) program(in Input, f *desired.Frontend, lb *observed.LoadBalancer) {
	if f.VIPEndpoint {
		u.need(in, f.Key.VIP, desired.AsVIP)
	}
	var present []*observed.Endpoint
	var backends []netip.Addr
	for _, b := range f.Backends {
		e, coming := u.backend(in, b)
		if e != nil {
			present = append(present, e)
		}
		if e != nil || coming {
			backends = append(backends, b.IP)
		}
	}
	if len(backends) == 0 {
		// Never an empty list (law 12), and never the endpoints of yesterday: their
		// addresses may be other pods' by now.
		if lb != nil {
			u.Steps = append(u.Steps, Step{Op: DeleteLoadBalancer, ID: lb.ID, Key: f.Key})
		}
		return
	}
	step := Step{Op: CreateLoadBalancer, Key: f.Key, Frontend: f, Backends: backends}
	if lb == nil {
		u.Steps = append(u.Steps, step)
		return
	}
	match := in.View.Match(lb, f.LoadBalancer(), present)
	if match == observed.Equal && len(present) == len(backends) {
		return
	}
	if match != observed.Different && in.Modify && !strands(f, lb, present) {
		step.Op, step.ID = UpdateLoadBalancer, lb.ID
		u.Steps = append(u.Steps, step)
		return
	}
	u.Steps = append(u.Steps, Step{Op: DeleteLoadBalancer, ID: lb.ID, Key: f.Key}, step)
}

// strands tells whether a change in place would leave UDP flows on an endpoint or a port that
// goes. HNS keeps the flows of a VIP marked as external, and perhaps others (hns.md 5.5).
// TCP clients notice and connect anew; UDP clients, a DNS resolver first of all, would send
// to nobody for as long as they go on. Made anew, the load balancer starts without flows.
func strands(f *desired.Frontend, lb *observed.LoadBalancer, present []*observed.Endpoint) bool {
	if lb.Key.Protocol != hnslb.UDP {
		return false
	}
	return lb.InternalPort != f.InternalPort || lb.Dangling() ||
		slices.ContainsFunc(lb.Endpoints, func(e *observed.Endpoint) bool { return !slices.Contains(present, e) })
}

// backend returns the endpoint of a backend, or whether a step of the unit brings it.
func (u *Unit) backend(in Input, b desired.Backend) (e *observed.Endpoint, coming bool) {
	if !b.Local {
		return u.need(in, b.IP, desired.AsRemote)
	}
	e = in.View.Endpoint(b.IP)
	if e != nil && !e.Ours {
		return e, false
	}
	if e != nil {
		// Our remote endpoint stands where a local one is due. HNS may refuse to create
		// that one before ours is gone (k8s issue 130963).
		u.Evict = append(u.Evict, b.IP)
	}
	u.Waiting = append(u.Waiting, b.IP)
	return nil, false
}

// need returns the endpoint that stands for an address in a role, or plans it.
func (u *Unit) need(in Input, ip netip.Addr, role desired.Role) (e *observed.Endpoint, coming bool) {
	e = in.View.Endpoint(ip)
	switch {
	case e != nil && (!e.Ours || fits(in, e, role)):
		return e, false
	case e != nil:
		u.Evict = append(u.Evict, ip)
		return nil, false
	case in.Held != nil && in.Held(ip):
		u.Held = append(u.Held, ip)
		return nil, false
	}
	want := in.Env.RemoteEndpoint
	if role == desired.AsVIP {
		want = in.Env.VIPEndpoint
	}
	u.Steps = append(u.Steps, Step{Op: CreateEndpoint, Endpoint: want(ip)})
	return nil, true
}

func fits(in Input, e *observed.Endpoint, role desired.Role) bool {
	return in.Env.Fits(role, e.IP, e.ProviderAddress, e.VIP)
}

// Endpoint plans the endpoints of ours at one address: of those that nothing in HNS
// names, all that nobody wants, that stand beside a local one, or that are not as they
// should be.
func Endpoint(in Input, ip netip.Addr) Unit {
	var u Unit
	role := in.State.Role(ip)
	kept := false
	for _, e := range in.View.At(ip) {
		if keep(in, e, role) && !kept {
			kept = true
			continue
		}
		if !e.InUse() {
			u.Steps = append(u.Steps, Step{Op: DeleteEndpoint, ID: e.ID, Endpoint: hnslb.Endpoint{IPs: []netip.Addr{ip}}})
		}
	}
	return u
}

func keep(in Input, e *observed.Endpoint, role desired.Role) bool {
	if at := in.View.Endpoint(e.IP); at != nil && !at.Remote {
		return false
	}
	return (role == desired.AsRemote || role == desired.AsVIP) && fits(in, e, role)
}

// SourceVIP plans the endpoint of the source VIP on an overlay.
func SourceVIP(in Input) Unit {
	want, ok := in.Env.SourceVIPEndpoint()
	if !ok || in.View.Endpoint(want.IPs[0]) != nil {
		return Unit{}
	}
	return Unit{Steps: []Step{{Op: CreateEndpoint, Endpoint: want}}}
}

// Class orders units of one batch: what a node cannot live without first, then what is
// not reachable at all, then what is reachable, then what has to go.
type Class uint8

// The classes, most urgent first.
const (
	Critical Class = iota
	Missing
	Changed
	Leftover
	LeftoverEndpoint
	classes
)

// Classes is the number of classes.
const Classes = int(classes)

// ClassOf returns the class of a frontend.
func ClassOf(in Input, key hnslb.FrontendKey) Class {
	f := in.State.Frontend(key)
	switch {
	case !f.Programmable():
		return Leftover
	case f.Critical:
		return Critical
	case in.View.LoadBalancer(key) == nil:
		return Missing
	}
	return Changed
}

// All returns the keys and addresses of everything that is not as it should be: the full
// comparison after HNS was listed, never part of a change (law 1).
func All(in Input) (keys []hnslb.FrontendKey, ips []netip.Addr) {
	seen := map[hnslb.FrontendKey]bool{}
	consider := func(key hnslb.FrontendKey) {
		if seen[key] {
			return
		}
		seen[key] = true
		if u := Frontend(in, key); len(u.Steps)+len(u.Waiting)+len(u.Held)+len(u.Evict) > 0 || u.Blocked.Reason != "" {
			keys = append(keys, key)
		}
	}
	for key := range in.State.Keys {
		consider(key)
	}
	for lb := range in.View.LoadBalancers {
		consider(lb.Key)
	}
	for key := range in.View.SurplusKeys {
		consider(key)
	}
	for e := range in.View.Own {
		if len(Endpoint(in, e.IP).Steps) > 0 {
			ips = append(ips, e.IP)
		}
	}
	slices.SortFunc(keys, hnslb.FrontendKey.Compare)
	slices.SortFunc(ips, netip.Addr.Compare)
	return keys, slices.Compact(ips)
}
