// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// routeTimeout is how long to wait for the route to a pod on another node. The network plugin adds
// it when it learns of the node, which may be after the pod became an endpoint. Without a route the
// address is then reached through this node, like an address outside the cluster.
const routeTimeout = 10 * time.Second

// routes tracks the pods on other nodes to which an overlay network has no route.
type routes struct {
	// awaited holds the addresses whose route is awaited, givenUp those for which the wait has
	// ended.
	awaited map[netip.Addr]*routeWait
	givenUp map[netip.Addr]bool
	// nextExpiry is when the first of the waits ends, or ended.
	nextExpiry time.Time
}

// routeWait is the wait for the route to one address.
type routeWait struct {
	end time.Time
	// services holds the Services that list the address, including those whose frontends belong to
	// another Service.
	services map[services.Name]bool
}

func newRoutes() routes {
	return routes{awaited: map[netip.Addr]*routeWait{}, givenUp: map[netip.Addr]bool{}}
}

// due returns when the next wait ends, the zero time for never.
func (r *routes) due() time.Time {
	if len(r.awaited) == 0 {
		return time.Time{}
	}
	return r.nextExpiry
}

// await starts the wait for the route to an address.
func (r *routes) await(ip netip.Addr, end time.Time) {
	if len(r.awaited) == 0 {
		r.nextExpiry = end
	}
	r.awaited[ip] = &routeWait{end, map[services.Name]bool{}}
}

// note records that a Service lists an address, if its route is awaited.
func (r *routes) note(ip netip.Addr, name services.Name) {
	if w := r.awaited[ip]; w != nil {
		w.services[name] = true
	}
}

// restart restarts all waits, because routes could not be added before.
func (r *routes) restart(now time.Time) {
	r.nextExpiry = now.Add(routeTimeout)
	for _, w := range r.awaited {
		w.end = r.nextExpiry
	}
}

// expired returns the addresses whose wait has ended, in order.
func (r *routes) expired(now time.Time) []netip.Addr {
	var out []netip.Addr
	r.nextExpiry = time.Time{}
	for ip, w := range r.awaited {
		if now.Before(w.end) {
			r.nextExpiry = earliestTime(r.nextExpiry, w.end)
		} else {
			out = append(out, ip)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// set returns the awaited addresses, for an Env.
func (r *routes) set() map[netip.Addr]bool {
	if len(r.awaited) == 0 {
		return nil
	}
	out := make(map[netip.Addr]bool, len(r.awaited))
	for ip := range r.awaited {
		out[ip] = true
	}
	return out
}

// forget drops an address that no Service lists any more.
func (r *routes) forget(ip netip.Addr) {
	delete(r.awaited, ip)
	delete(r.givenUp, ip)
}

// noteRoutes finds pods on other nodes to which the network has no route, before the frontends that
// list them are computed. It requests one read of the network for all of them, at most once per
// recheckPause.
func (e *Engine) noteRoutes(inputs []services.Input) (noted []netip.Addr) {
	if !e.env.Network().IsOverlay() {
		return nil
	}
	vips := map[netip.Addr]bool{}
	for _, in := range inputs {
		if in.Service != nil {
			for _, vip := range in.Service.ClusterIPs {
				vips[vip] = true
			}
		}
	}
	for _, in := range inputs {
		for _, slice := range in.Slices {
			for _, ep := range slice.Endpoints {
				if !vips[ep.IP] && e.awaits(ep) && e.noteRoute(ep.IP) {
					noted = append(noted, ep.IP)
				}
			}
		}
	}
	if len(noted) > 0 {
		e.env = e.env.WithAwaited(e.routes.set())
	}
	e.noteListing(inputs)
	return noted
}

// noteListing records which of these Services list awaited addresses, once all awaited addresses
// are known. The source VIP of each of them depends on the wait, even if its own endpoints have no
// node name and those of a later Service do.
func (e *Engine) noteListing(inputs []services.Input) {
	if len(e.routes.awaited) == 0 {
		return
	}
	for _, in := range inputs {
		for _, slice := range in.Slices {
			for _, ep := range slice.Endpoints {
				e.routes.note(ep.IP, in.Name)
			}
		}
	}
}

// noteRoute starts to wait for the route to an address, unless an existing endpoint is reached
// through this node already and stays so.
func (e *Engine) noteRoute(ip netip.Addr) bool {
	e.hns.wanted = true
	if e.throughThisNode(ip) {
		e.routes.givenUp[ip] = true
		return false
	}
	e.routes.await(ip, e.now.Add(routeTimeout))
	return true
}

// awaits returns whether to start waiting for the route to an endpoint. An endpoint without a node
// is outside the cluster.
func (e *Engine) awaits(ep services.Endpoint) bool {
	if ep.Node == "" || ep.Node == e.node.Name || e.routes.givenUp[ep.IP] || e.noRouteNeeded(e.env, ep.IP) {
		return false
	}
	return e.routes.awaited[ep.IP] == nil
}

// noRouteNeeded returns whether there is no route to wait for: it exists, or the address is a
// cluster IP and gets no endpoint as a backend.
func (e *Engine) noRouteNeeded(env *desired.Env, ip netip.Addr) bool {
	_, owned := e.state.Owner(ip)
	return owned || !env.LacksRoute(ip)
}

// dropResolvedRoutes stops waiting for addresses that have a route now.
func (e *Engine) dropResolvedRoutes(env *desired.Env) {
	maps.DeleteFunc(e.routes.awaited, func(ip netip.Addr, _ *routeWait) bool { return e.noRouteNeeded(env, ip) })
	maps.DeleteFunc(e.routes.givenUp, func(ip netip.Addr, _ bool) bool { return !env.LacksRoute(ip) })
	if len(e.routes.awaited) > 0 {
		e.hns.wanted = true
	}
}

// forgetUnusedRoutes silently ends the wait for those of the given addresses that no frontend
// lists.
func (e *Engine) forgetUnusedRoutes(ips []netip.Addr) {
	for _, ip := range ips {
		if len(e.state.Users(ip)) == 0 && len(e.servicesListing(ip)) == 0 {
			e.routes.forget(ip)
		}
	}
	if e.env.AwaitedCount() != len(e.routes.awaited) {
		e.env = e.env.WithAwaited(e.routes.set())
	}
}

// expireRoutes ends the wait for routes that were not added in time. The waits do not end while HNS
// is unavailable or the network is incomplete, since no routes can be added then.
func (e *Engine) expireRoutes() {
	if due := e.routes.due(); due.IsZero() || e.now.Before(due) || e.hns.unavailable() || !e.networkComplete() {
		return
	}
	expired := e.routes.expired(e.now)
	e.forgetUnusedRoutes(expired)
	given := slices.DeleteFunc(expired, func(ip netip.Addr) bool { return e.routes.awaited[ip] == nil })
	if len(given) == 0 {
		return
	}
	e.giveUpRoutes(given)
	if missing := slices.DeleteFunc(given, func(ip netip.Addr) bool { return e.noRouteNeeded(e.env, ip) }); len(missing) > 0 {
		e.emit(RoutesMissing{missing})
	}
}

// routesDue returns when the next wait ends, the zero time for never.
func (e *Engine) routesDue() time.Time {
	if e.hns.unavailable() || !e.networkComplete() {
		return time.Time{}
	}
	return e.routes.due()
}

// giveUpRoutes continues without the routes to some addresses. The Services that list them are
// computed again, since an address without a route counts as one outside the cluster. Other
// Services are not (law 1): any tenant can write EndpointSlices that name nodes that do not exist.
func (e *Engine) giveUpRoutes(ips []netip.Addr) {
	for _, ip := range ips {
		for _, name := range e.servicesListing(ip) {
			e.resubmit[name] = true
		}
		delete(e.routes.awaited, ip)
		e.routes.givenUp[ip] = true
	}
	e.env = e.env.WithAwaited(e.routes.set())
	for _, ip := range ips {
		e.enqueueUsers(ip)
	}
	e.recomputing = e.recomputing || len(e.resubmit) > 0
}

// servicesListing returns the Services with frontends that list an awaited address. A Service whose
// frontends are currently held by others counts, since it may get them later.
func (e *Engine) servicesListing(ip netip.Addr) []services.Name {
	w := e.routes.awaited[ip]
	if w == nil {
		return nil
	}
	var names []services.Name
	for name := range w.services {
		if slices.ContainsFunc(e.state.Frontends(name), func(f *desired.Frontend) bool {
			return slices.ContainsFunc(f.Backends, func(b desired.Backend) bool { return b.IP == ip })
		}) {
			names = append(names, name)
		}
	}
	return names
}

// adoptRoutes ends the wait for addresses whose existing endpoint was created with this node's
// provider address: an earlier process has already waited in vain.
func (e *Engine) adoptRoutes() {
	var ips []netip.Addr
	for ip := range e.routes.awaited {
		if e.throughThisNode(ip) {
			ips = append(ips, ip)
		}
	}
	if len(ips) > 0 {
		e.giveUpRoutes(ips)
	}
}

// throughThisNode returns whether a remote endpoint of ours exists at an address and is reached
// through this node.
func (e *Engine) throughThisNode(ip netip.Addr) bool {
	ep := e.view.Endpoint(ip)
	return ep != nil && ep.Ours && ep.Remote && e.view.ShowsProvider(ep, e.hns.host.IP)
}
