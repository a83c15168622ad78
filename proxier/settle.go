// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier/apply"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/plan"
)

// settle takes note of what came of a task.
func (p *Proxier) settle(t task, u plan.Unit, r apply.Result) {
	if r.Unknown {
		p.doubt(r)
	}
	for ip, err := range r.Endpoints {
		// Another unit of the batch may have needed the same one.
		if !p.backoff.Waits(endpointTask(ip), p.cfg.Clock.Now()) {
			p.failed(endpointTask(ip), err)
		}
	}
	for _, s := range u.Steps {
		if s.Op != plan.CreateEndpoint || p.backoff.Len() == 0 {
			continue
		}
		if ip := s.Endpoint.IPs[0]; r.Endpoints[ip] == nil && r.Err == nil && !r.Unfinished {
			p.backoff.Succeeded(endpointTask(ip))
		}
	}
	switch {
	case r.Unfinished && r.Err == nil:
		// HNS is listed next, and what is not as it should be is queued again.
	case t.isEndpoint():
		p.settleEndpoint(t, r)
	default:
		p.settleFrontend(t, u, r)
	}
}

// doubt is called after a call of unknown outcome.
func (p *Proxier) doubt(r apply.Result) {
	for _, err := range append(values(r.Endpoints), r.Err) {
		switch hnslb.ErrorClass(err) {
		case hnslb.Unavailable, hnslb.NotFound:
			// HNS itself, or our network, may be gone: ask before the next step.
			p.hns.fresh = false
		}
	}
}

func (p *Proxier) settleEndpoint(t task, r apply.Result) {
	if r.Err != nil {
		p.failed(t, r.Err)
		return
	}
	if len(r.Endpoints) > 0 {
		return // the endpoint of the source VIP; it waits already
	}
	p.backoff.Succeeded(t)
	if r.Steps == 0 {
		return
	}
	// The address is free: who wants it as a backend may bring its own endpoint now.
	in := p.input()
	for _, key := range p.state.Users(t.ip) {
		p.enqueueFrontend(in, key)
	}
}

func (p *Proxier) settleFrontend(t task, u plan.Unit, r apply.Result) {
	for _, ip := range u.Evict {
		p.enqueueEndpoint(ip)
	}
	f := p.state.Frontend(t.key)
	if r.Err != nil {
		p.frontendFailed(t, f, r)
		return
	}
	if len(r.Endpoints) > 0 {
		// It was planned with endpoints that it does not get: once more without them.
		p.enqueueFrontend(p.input(), t.key)
		return
	}
	p.backoff.Succeeded(t)
	p.locals.waiting(t, p.announced(u.Waiting), p.cfg.Clock.Now())
	if f == nil || f.Reserved {
		return
	}
	state, note := p.verdict(f, u)
	p.setStatus(f, state, note)
	if state == Programmed || f.Blocked.Reason != "" {
		for _, latency := range p.flights.land(f.Service, t.key, p.cfg.Clock.Now()) {
			p.cfg.Metrics.NetworkProgrammed(t.key.Family, latency)
		}
	}
}

// announced leaves out the node's own addresses: many network plugins never make an HNS
// endpoint for them, so the audit is soon enough.
func (p *Proxier) announced(ips []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(ips), p.env.OwnAddress)
}

// verdict says how far a frontend is after its unit went through.
func (p *Proxier) verdict(f *desired.Frontend, u plan.Unit) (FrontendState, desired.Note) {
	missing := len(u.Waiting) + len(u.Held) + len(u.Evict) + len(u.Taken)
	switch {
	case f.Blocked.Reason != "":
		return Blocked, f.Blocked
	case u.Blocked.Reason != "":
		return Blocked, u.Blocked
	case len(u.Held) > 0:
		return Failing, desired.Note{Reason: desired.EndpointFailing, Message: "left out: " + p.texts(u.Held)}
	case len(u.Taken) >= len(f.Backends):
		return Blocked, p.taken(u)
	case len(u.Waiting) > 0 && missing >= len(f.Backends):
		return Blocked, desired.Note{Reason: desired.LocalMissing, Message: "HNS has no endpoint yet for " + addresses(u.Waiting)}
	case len(u.Waiting) > 0:
		return Pending, desired.Note{Reason: desired.LocalAwaited, Message: "in force but for " + addresses(u.Waiting) +
			", for which HNS has no endpoint yet"}
	case len(u.Evict) > 0:
		return Pending, desired.Note{Reason: desired.EndpointReplaced, Message: "an endpoint of another kind makes room at " + addresses(u.Evict)}
	case len(u.Taken) > 0:
		return Programmed, p.taken(u)
	}
	return Programmed, desired.Note{}
}

// taken says which backends are left out since their addresses have another role.
func (p *Proxier) taken(u plan.Unit) desired.Note {
	var why []string
	for _, ip := range u.Taken {
		why = append(why, plan.Why(p.input(), ip))
	}
	return desired.Note{Reason: desired.AddressTaken, Message: "endpoints left out: " + desired.List(why)}
}

// frontendFailed takes note of a frontend that HNS refused.
func (p *Proxier) frontendFailed(t task, f *desired.Frontend, r apply.Result) {
	if r.Op == plan.UpdateLoadBalancer && hnslb.ErrorClass(r.Err) == hnslb.Unsupported {
		p.modify = false
		p.cfg.Logger.Error(r.Err, "HNS cannot change load balancers in place; from now on they are deleted and created")
		p.enqueueFrontend(p.input(), t.key)
		return
	}
	p.failed(t, r.Err)
	kind := desired.ClusterIP
	if f != nil {
		kind = f.Kind
		p.setStatus(f, Failing, desired.Note{
			Reason: desired.FailureReason(hnslb.ErrorClass(r.Err)), Message: sentence(r.Err) + remedy(r.Err, t.key)})
	}
	p.cfg.Metrics.LoadBalancerFailed(verbOf(r.Op), t.key.Family, metrics.LBType(kind.String()), r.Err)
}

// sentence is an error without the full stop and space in which HNS's words end.
func sentence(err error) string { return strings.TrimRight(err.Error(), ". ") }

// remedy says what a person can do about a failing frontend.
func remedy(err error, key hnslb.FrontendKey) string {
	if hnslb.ErrorClass(err) != hnslb.PortInUse {
		return ""
	}
	if key.NodePort() {
		return fmt.Sprintf("; free port %d on the node: a listener, the dynamic port range (netsh int ip show dynamicport), "+
			"or a leaked reservation may hold it", key.Port)
	}
	return "; another load balancer or a listener holds it, or the node ran out of ephemeral ports (enable DSR)"
}

func verbOf(op plan.Op) hnslb.Verb {
	switch op {
	case plan.CreateEndpoint:
		return hnslb.VerbCreateEndpoint
	case plan.DeleteEndpoint:
		return hnslb.VerbDeleteEndpoint
	case plan.UpdateLoadBalancer:
		return hnslb.VerbUpdateLoadBalancer
	case plan.DeleteLoadBalancer:
		return hnslb.VerbDeleteLoadBalancer
	}
	return hnslb.VerbCreateLoadBalancer
}

// failed lets an object wait before it is tried again.
func (p *Proxier) failed(t task, err error) {
	due := p.backoff.Failed(t, err, p.cfg.Clock.Now())
	p.cfg.Logger.V(2).Info("Will try again", "object", t.String(), "err", err, "at", due)
}

// setStatus publishes the status of a frontend, and tells users what they should know.
func (p *Proxier) setStatus(f *desired.Frontend, s FrontendState, n desired.Note) {
	p.events.Set(f, n, s != Pending || n.Reason != "")
	if !p.table.set(f, s, n, p.cfg.Clock.Now()) {
		return
	}
	p.cfg.Logger.V(2).Info("Frontend", "frontend", f.Key.String(), "service", f.Service.String(), "kind", f.Kind.String(),
		"state", s, "reason", n.Reason, "message", n.Message)
}

// report publishes what follows for frontends from the desired state alone: lost to
// another Service, blocked, or about to be looked at.
func (p *Proxier) report(fs ...*desired.Frontend) {
	for _, f := range fs {
		if f.Reserved {
			continue
		}
		if note, lost := p.state.Conflict(f); lost {
			p.setStatus(f, Blocked, note)
		} else if f.Blocked.Reason != "" {
			p.setStatus(f, Blocked, f.Blocked)
		} else {
			p.setStatus(f, Pending, desired.Note{})
		}
	}
}

func values(m map[netip.Addr]error) []error {
	out := make([]error, 0, len(m))
	for _, err := range m {
		out = append(out, err)
	}
	return out
}

// texts says why the endpoints of addresses failed.
func (p *Proxier) texts(held []netip.Addr) string {
	out := make([]string, 0, len(held))
	for _, ip := range held {
		out = append(out, sentence(p.backoff.Err(endpointTask(ip))))
	}
	return strings.Join(out, "; ")
}

func addresses(ips []netip.Addr) string {
	out := make([]string, 0, len(ips))
	for _, ip := range ips {
		out = append(out, ip.String())
	}
	return strings.Join(out, ", ")
}
