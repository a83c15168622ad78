// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/observed"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// Unit is the plan for one frontend or one address. Its steps are executed in order.
type Unit struct {
	Steps []Step
	// Blocked is why a desired frontend gets no steps.
	Blocked desired.Note
	// Waiting are local backends that have no HNS endpoint yet (law 10).
	Waiting []netip.Addr
	// Unusable are backends left out because their endpoint cannot be referenced now.
	Unusable []netip.Addr
	// Evict are addresses whose endpoint must be removed first, in favor of a local one or of one
	// with another provider address.
	Evict []netip.Addr
	// NoRoute are backends left out because the network has no route to them yet.
	NoRoute []netip.Addr
	// NoSourceVIP: the load balancer waits for the endpoint of its source VIP.
	NoSourceVIP bool
	// AddressTaken are backends left out because their address has a role with a higher rank (law
	// 12).
	AddressTaken []netip.Addr
}

// Adjacent returns whether the calls of the unit must follow each other without other calls between
// them: between the deletion of a load balancer and its re-creation, the VIP serves no traffic (law
// 8).
func (u Unit) Adjacent() bool {
	return hasStep[DeleteLoadBalancer](u.Steps) && hasStep[CreateLoadBalancer](u.Steps)
}

// hasStep returns whether one of the steps is of type S.
func hasStep[S Step](steps []Step) bool {
	return slices.ContainsFunc(steps, func(s Step) bool {
		_, is := s.(S)
		return is
	})
}

// Input is the input of the planning functions, which do not change it.
type Input struct {
	State *desired.State
	View  *observed.View
	Env   *desired.Env
	// Recreate: the load balancer was just deleted to be re-created, so its creation waits for
	// nothing.
	Recreate bool
	// RoutesPending: the network plugin is still adding routes. A load balancer that does not exist
	// yet waits for the routes of all its backends, instead of being written twice.
	RoutesPending bool
	// Modify: HNS can update load balancers in place.
	Modify bool
	// ModifyIncomplete returns whether an update in place left out settings of a frontend, so that
	// its load balancer has to be deleted and created; nil for never.
	ModifyIncomplete func(hnslb.FrontendKey) bool
	// Unusable returns whether the endpoint at an address cannot be referenced now: HNS refused it
	// recently, its state is unknown, or it is being deleted. nil for never.
	Unusable func(netip.Addr) bool
	// Unknown returns whether the existence of the endpoint at an address is unknown; nil for
	// never.
	Unknown func(netip.Addr) bool
}

// Frontend plans one frontend.
func Frontend(in Input, key hnslb.FrontendKey) Unit {
	var u Unit
	for _, twin := range in.View.Surplus(key) {
		u.Steps = append(u.Steps, DeleteLoadBalancer{twin.ID, key})
	}
	f, lb := in.State.Frontend(key), in.View.LoadBalancer(key)
	switch {
	case lb != nil && !lb.Ours:
		if f.Programmable() {
			u.Blocked = desired.Note{Reason: desired.ForeignHolder, Message: fmt.Sprintf(
				"load balancer %s, not managed by hnsproxy, holds %s; delete it or change the Service", lb.ID, key)}
		}
	case !f.Programmable():
		if lb != nil {
			u.Steps = append(u.Steps, DeleteLoadBalancer{lb.ID, key})
		}
	default:
		u.program(in, f, lb)
	}
	return u
}

// program plans a frontend that has backends and is not occupied by another program.
func (u *Unit) program(in Input, f *desired.Frontend, lb *observed.LoadBalancer) {
	if f.VIPEndpoint {
		u.endpointFor(in, f.Key.VIP, desired.AsVIP)
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
		// Never write an empty list (law 12), and never keep the previous endpoints, whose
		// addresses may belong to other pods by now. If an endpoint is in an unknown state, wait
		// until a list shows it.
		if lb != nil && (in.Unknown == nil || !slices.ContainsFunc(u.Unusable, in.Unknown)) {
			u.Steps = append(u.Steps, DeleteLoadBalancer{lb.ID, f.Key})
		}
		return
	}
	u.write(in, lb, present, Target{f, backends, f.LoadBalancer()})
}

// write plans the load balancer of a frontend; lb is the existing one, nil for none. present are
// those of its endpoints that exist in HNS.
func (u *Unit) write(in Input, lb *observed.LoadBalancer, present []*observed.Endpoint, t Target) {
	f, match := t.Frontend, observed.Different
	switch {
	case lb != nil:
		want := t.LoadBalancer
		if in.Env.SourceVIPOptional() && !lb.Settings.SourceVIP.IsValid() {
			want.SourceVIP = lb.Settings.SourceVIP
		}
		match = in.View.Match(lb, want, present)
	case u.mustWait(in, f):
		return
	}
	if match == observed.Equal && len(present) == len(t.IPs) {
		return
	}
	for _, e := range present {
		t.LoadBalancer.Endpoints = append(t.LoadBalancer.Endpoints, e.ID)
	}
	switch {
	case lb == nil:
		u.Steps = append(u.Steps, CreateLoadBalancer{t})
	case match != observed.Different && in.inPlace(f, lb, present):
		t.LoadBalancer.ID = lb.ID
		u.Steps = append(u.Steps, UpdateLoadBalancer{t})
	default:
		u.Steps = append(u.Steps, DeleteLoadBalancer{lb.ID, f.Key}, CreateLoadBalancer{t})
	}
}

// mustWait returns whether a load balancer that does not exist yet must wait: for routes that are
// being added, or for the endpoint of its source VIP.
func (u *Unit) mustWait(in Input, f *desired.Frontend) bool {
	if in.Recreate {
		return false
	}
	u.NoSourceVIP = in.Env.NeedsSourceVIP(f.SourceVIP) && !sourceVIPExists(in)
	return u.NoSourceVIP || in.RoutesPending && len(u.NoRoute) > 0
}

// sourceVIPExists returns whether HNS has the endpoint of the source VIP, which has to exist before
// the load balancers that use it.
func sourceVIPExists(in Input) bool {
	e := in.View.Endpoint(in.Env.SourceVIP())
	return e != nil && !e.Remote
}

// inPlace returns whether to update the load balancer of a frontend in place.
func (in Input) inPlace(f *desired.Frontend, lb *observed.LoadBalancer, present []*observed.Endpoint) bool {
	if !in.Modify || in.ModifyIncomplete != nil && in.ModifyIncomplete(f.Key) {
		return false
	}
	return in.Env.UDPInPlace() || !losesUDPFlows(f, lb, present)
}

// losesUDPFlows returns whether an update in place would leave UDP flows on an endpoint or port
// that is removed. HNS keeps the flows of a VIP marked as external, and perhaps others
// (docs/hns.md, Flows). TCP clients notice and reconnect; UDP clients, DNS resolvers above all,
// would keep sending to a backend that is gone. A re-created load balancer starts without flows.
func losesUDPFlows(f *desired.Frontend, lb *observed.LoadBalancer, present []*observed.Endpoint) bool {
	if lb.Key.Protocol != hnslb.UDP {
		return false
	}
	return lb.InternalPort != f.InternalPort || lb.Dangling() ||
		slices.ContainsFunc(lb.Endpoints, func(e *observed.Endpoint) bool { return !slices.Contains(present, e) })
}

// backend returns the endpoint of a backend, or whether a step of the unit creates it.
//
// The endpoint at an address has one role. In order of rank: local endpoint of the network plugin,
// source VIP, VIP of a cluster IP, remote endpoint. The role follows from the desired state, the
// environment and the local endpoints, and not from our endpoints in HNS or the order of events. A
// unit creates an endpoint only with the role of its address, and deletes only endpoints with
// another role. A change of role therefore costs at most one deletion and one creation, and nothing
// is written without one.
func (u *Unit) backend(in Input, b desired.Backend) (e *observed.Endpoint, coming bool) {
	e = in.View.Endpoint(b.IP)
	if taken(in, b, e) {
		u.AddressTaken = append(u.AddressTaken, b.IP)
		return nil, false
	}
	if !b.Local {
		if in.Env.AwaitsRoute(b.IP) && e == nil {
			u.NoRoute = append(u.NoRoute, b.IP)
			return nil, false
		}
		return u.endpointFor(in, b.IP, desired.AsRemote)
	}
	if e != nil && !e.Ours {
		return e, false
	}
	if e != nil {
		// A remote endpoint of ours exists where a local one is due. HNS may refuse to create the
		// local one before ours is deleted (k8s issue 130963).
		u.Evict = append(u.Evict, b.IP)
	}
	u.Waiting = append(u.Waiting, b.IP)
	return nil, false
}

// taken returns whether the address of a backend has another role. at is the endpoint at the
// address, nil for none.
func taken(in Input, b desired.Backend, at *observed.Endpoint) bool {
	if in.Env.IsSourceVIP(b.IP) {
		return true
	}
	if at != nil && !at.Remote {
		return false
	}
	_, owned := in.State.Owner(b.IP)
	return owned || !b.Local && in.Env.LocalOnly(b.IP)
}

// TakenReason describes why the address of a backend has another role.
func TakenReason(in Input, ip netip.Addr) string {
	if in.Env.IsSourceVIP(ip) {
		return fmt.Sprintf("%s (the source VIP of this node)", ip)
	}
	if owner, owned := in.State.Owner(ip); owned {
		return fmt.Sprintf("%s (the cluster IP of Service %s; on Windows a Service VIP cannot be an endpoint of another Service)", ip, owner)
	}
	return fmt.Sprintf("%s (in this node's pod subnet, but without an HNS endpoint from the network plugin)", ip)
}

// endpointFor returns the endpoint at an address in a role, or plans its creation.
func (u *Unit) endpointFor(in Input, ip netip.Addr, role desired.Role) (e *observed.Endpoint, coming bool) {
	e = in.View.Endpoint(ip)
	unusable := in.Unusable != nil && in.Unusable(ip)
	switch {
	case e != nil && !e.Ours, e != nil && matchesRole(in, e, role) && !unusable:
		return e, false
	case unusable:
		u.Unusable = append(u.Unusable, ip)
		return nil, false
	case e != nil:
		u.Evict = append(u.Evict, ip)
		return nil, false
	}
	want := in.Env.RemoteEndpoint
	if role == desired.AsVIP {
		want = in.Env.VIPEndpoint
	}
	u.Steps = append(u.Steps, CreateEndpoint{want(ip)})
	return nil, true
}

// matchesRole returns whether an endpoint of ours is the one that a role needs. Only on an overlay
// do the endpoints of one address differ, by MAC and provider address.
func matchesRole(in Input, e *observed.Endpoint, role desired.Role) bool {
	if !in.Env.Network().IsOverlay() {
		return true
	}
	if e.VIP != (role == desired.AsVIP) || e.HasFormerMAC {
		return false
	}
	// An existing provider address is kept while the route is awaited.
	return in.Env.AwaitsRoute(e.IP) || in.View.ShowsProvider(e, in.Env.Provider(role, e.IP))
}

// role returns the role that the address has on this node.
func role(in Input, ip netip.Addr) desired.Role {
	r := in.State.Role(ip)
	if in.Env.IsSourceVIP(ip) || r == desired.AsRemote && in.Env.LocalOnly(ip) {
		return desired.Unwanted
	}
	return r
}

// Endpoint plans the endpoints of ours at one address. Of those that no load balancer references,
// it deletes the ones that no frontend uses, that duplicate a local endpoint, or that have the
// wrong settings.
func Endpoint(in Input, ip netip.Addr) Unit {
	var u Unit
	r := role(in, ip)
	kept := false
	for _, e := range in.View.OwnAt(ip) {
		if keep(in, e, r) && !kept {
			kept = true
			continue
		}
		if !e.InUse() {
			u.Steps = append(u.Steps, DeleteEndpoint{e.ID, e.IP})
		}
	}
	return u
}

func keep(in Input, e *observed.Endpoint, role desired.Role) bool {
	if at := in.View.Endpoint(e.IP); at != nil && !at.Remote {
		return false
	}
	return (role == desired.AsRemote || role == desired.AsVIP) && matchesRole(in, e, role)
}

// SourceVIP plans the endpoint of the source VIP on an overlay, and the endpoints at its address on
// other networks. A remote endpoint of ours at the address, such as a leftover, is deleted first,
// and so is a source VIP endpoint that was created while the node had another address.
func SourceVIP(in Input) Unit {
	u := Endpoint(in, in.Env.SourceVIP())
	want, ok := in.Env.SourceVIPEndpoint()
	if !ok {
		return u
	}
	e := in.View.Endpoint(want.IPs[0])
	switch {
	case e == nil:
	case e.SourceVIP && !e.InUse() && (e.HasFormerMAC || e.ProviderAddress.IsValid() && !in.View.ShowsProvider(e, want.ProviderAddress)):
		u.Steps = append(u.Steps, DeleteEndpoint{e.ID, e.IP})
	case !e.Ours || len(u.Steps) < len(in.View.OwnAt(e.IP)):
		return u
	}
	u.Steps = append(u.Steps, CreateEndpoint{want})
	return u
}

// HalfMade plans the deletion of a load balancer without mappings, which a failed create left
// behind.
func HalfMade(in Input, id hnslb.ID) Unit {
	if !slices.Contains(in.View.HalfMade(), id) {
		return Unit{}
	}
	return Unit{Steps: []Step{DeleteLoadBalancer{ID: id}}}
}

// Empty returns whether a unit has no steps and nothing to report.
func (u Unit) Empty() bool {
	return len(u.Steps)+len(u.Waiting)+len(u.Unusable)+len(u.Evict)+len(u.NoRoute)+len(u.AddressTaken) == 0 &&
		!u.NoSourceVIP && u.Blocked.Reason == ""
}

// Class is the urgency of a task: first what the node cannot work without, then what is not
// reachable, then changes of what is reachable, then deletions.
type Class uint8

// The classes, most urgent first.
const (
	Critical Class = iota
	Missing
	Changed
	Leftover
	LeftoverEndpoint
	numClasses
)

// NumClasses is the number of classes.
const NumClasses = int(numClasses)

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

// ClassOfEndpoint returns the class of our endpoints at an address: that of the frontend whose VIP
// it is, since that frontend waits for the address, and otherwise LeftoverEndpoint.
func ClassOfEndpoint(in Input, ip netip.Addr) Class {
	class := LeftoverEndpoint
	if in.State.Role(ip) != desired.AsVIP {
		return class
	}
	for _, key := range in.State.Users(ip) {
		if key.VIP == ip {
			class = min(class, ClassOf(in, key))
		}
	}
	return class
}

// All returns the frontends and addresses of everything that is not as desired. It is the full
// comparison after a list, and never part of handling a change (law 1).
func All(in Input) (keys []hnslb.FrontendKey, ips []netip.Addr) {
	seen := map[hnslb.FrontendKey]bool{}
	consider := func(key hnslb.FrontendKey) {
		if seen[key] {
			return
		}
		seen[key] = true
		if !Frontend(in, key).Empty() {
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
