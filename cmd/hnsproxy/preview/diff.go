// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/plan"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// Change is an object of HNS that a plan creates, changes or deletes.
type Change struct {
	// Action is create, update, replace or delete.
	Action Action `json:"action"`
	// Object is loadbalancer or endpoint.
	Object string `json:"object"`
	// Name is the frontend of a load balancer, or the address of an endpoint.
	Name string `json:"name"`
	// ID that HNS has now, empty for what is created.
	ID hnslb.ID `json:"id,omitempty"`
	// Services that it is for, as NAMESPACE/NAME.
	Services []string `json:"services,omitempty"`
	// Backends of a load balancer once the change is made.
	Backends []netip.Addr `json:"backends,omitempty"`
	// Why is a sentence for people, not a reason of package desired.
	Why string `json:"reason"`
}

// Delete is the action on an object that HNS has and that is not needed.
const Delete Action = "delete"

// Diff is what a plan changes in HNS.
type Diff struct {
	// Changes by object, in order of the first step of each.
	Changes []Change
	plan    *Plan
}

// Diff sums up the steps by object.
func (p *Plan) Diff() *Diff {
	d := differ{Plan: p, index: map[string]int{}, changes: []Change{}, held: map[hnslb.ID]hnslb.LoadBalancer{}, on: map[hnslb.FrontendKey]int{}}
	for _, lb := range p.hns.LoadBalancers {
		d.held[lb.ID] = lb
		if k, ok := lb.Key(); ok {
			d.on[k]++
		}
	}
	for _, s := range p.Steps {
		d.add(s)
	}
	return &Diff{d.changes, p}
}

// differ finds reasons by comparing what HNS holds with what it should hold.
type differ struct {
	*Plan
	index   map[string]int
	changes []Change
	// held are the load balancers of HNS, on how many of them a frontend has.
	held map[hnslb.ID]hnslb.LoadBalancer
	on   map[hnslb.FrontendKey]int
}

func (d *differ) add(s plan.Step) {
	var c Change
	switch s := s.(type) {
	case plan.CreateEndpoint:
		c = Change{Action: Create, Object: "endpoint", Name: s.Object(), Services: d.users(s.IP()), Why: d.needed(s.IP())}
	case plan.DeleteEndpoint:
		c = Change{Action: Delete, Object: "endpoint", Name: s.Object(), ID: s.ID, Why: "no Service on this node needs it"}
	case plan.CreateLoadBalancer:
		c = d.balancer(Create, s.Target, "HNS has no load balancer for it")
	case plan.UpdateLoadBalancer:
		c = d.balancer(Update, s.Target, d.difference(s.LoadBalancer.ID, s.Target))
	case plan.DeleteLoadBalancer:
		c = Change{Action: Delete, Object: "loadbalancer", Name: d.nameOf(s), ID: s.ID, Why: d.unneeded(s)}
	}
	key := c.Object + " " + c.Name
	i, known := d.index[key]
	if !known {
		d.index[key] = len(d.changes)
		d.changes = append(d.changes, c)
		return
	}
	d.merge(&d.changes[i], c, s)
}

// merge joins two changes of one object: what is deleted and created is replaced.
func (d *differ) merge(first *Change, c Change, s plan.Step) {
	if first.Action != Delete || c.Action != Create {
		return // a twin goes, and the object stays as the first change makes it
	}
	first.Action, first.Services, first.Backends = Replace, c.Services, c.Backends
	if s, ok := s.(plan.CreateLoadBalancer); ok {
		first.Why = d.difference(first.ID, s.Target)
	} else {
		first.Why = "it differs: " + c.Why
	}
}

func (d *differ) balancer(a Action, t plan.Target, reason string) Change {
	return Change{Action: a, Object: "loadbalancer", Name: t.Object(), ID: t.LoadBalancer.ID, Services: []string{t.Frontend.Service.String()},
		Backends: t.IPs, Why: reason}
}

// nameOf names a load balancer that is deleted; a half-made one has no frontend.
func (d *differ) nameOf(s plan.DeleteLoadBalancer) string {
	if s.Key == (hnslb.FrontendKey{}) {
		return string(s.ID)
	}
	return s.Object()
}

// users are the Services that need an endpoint.
func (d *differ) users(ip netip.Addr) []string {
	var out []string
	for _, key := range d.state.Users(ip) {
		if f := d.state.Frontend(key); f != nil {
			out = append(out, f.Service.String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// needed says what an endpoint is for.
func (d *differ) needed(ip netip.Addr) string {
	switch {
	case d.env.IsSourceVIP(ip):
		return "the source VIP of this node"
	case d.state.Role(ip) == desired.AsVIP:
		return "the cluster IP needs one on an overlay network"
	}
	return "a backend on another node"
}

// unneeded says why a load balancer goes.
func (d *differ) unneeded(s plan.DeleteLoadBalancer) string {
	f := d.state.Frontend(s.Key)
	switch {
	case s.Key == (hnslb.FrontendKey{}):
		return "it is half-made: it has no ports"
	case d.on[s.Key] > 1:
		return "another load balancer has the same frontend"
	case f == nil:
		return "no Service has this frontend"
	case f.Blocked.Reason != "":
		return fmt.Sprintf("%s: %s", f.Blocked.Reason, f.Blocked.Message)
	case len(f.Backends) == 0:
		return fmt.Sprintf("Service %s has no usable backends", f.Service)
	}
	return fmt.Sprintf("no backend of Service %s has an HNS endpoint", f.Service)
}

// difference says in what a load balancer is not as it should be.
func (d *differ) difference(id hnslb.ID, t plan.Target) string {
	has, known := d.held[id]
	if !known || len(has.Mappings) == 0 {
		return "it is written again with all of its backends"
	}
	wants := t.LoadBalancer
	var out []string
	add := func(differs bool, text string, args ...any) {
		if differs {
			out = append(out, fmt.Sprintf(text, args...))
		}
	}
	now, missing := d.backends(has)
	for _, ip := range t.IPs {
		add(!slices.Contains(now, ip), "+%s", ip)
	}
	for _, ip := range now {
		add(!slices.Contains(t.IPs, ip), "-%s", ip)
	}
	add(missing > 0, "names %d deleted endpoints", missing)
	port := has.Mappings[0].InternalPort
	add(port != t.Frontend.InternalPort, "target port %d to %d", port, t.Frontend.InternalPort)
	was, is := plan.FlagNames(has), plan.FlagNames(wants)
	add(was != is, "flags [%s] to [%s]", was, is)
	add(has.SourceVIP != wants.SourceVIP, "source VIP %s to %s", orNone(has.SourceVIP), orNone(wants.SourceVIP))
	add(has.Degraded, "HNS calls it degraded")
	add(len(out) == 0, "its rules are out of date")
	return strings.Join(out, ", ")
}

// backends are the addresses that a load balancer sends to, and how many of its endpoints are
// gone.
func (d *differ) backends(lb hnslb.LoadBalancer) (ips []netip.Addr, missing int) {
	for _, id := range lb.Endpoints {
		at, known := d.byID[id]
		if !known {
			missing++
			continue
		}
		ips = append(ips, d.hns.Endpoints[at].IPs...)
	}
	return ips, missing
}

func orNone(ip netip.Addr) string {
	if !ip.IsValid() {
		return "none"
	}
	return ip.String()
}
