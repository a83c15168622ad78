// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"context"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier/apply"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/plan"
)

// connection is what the loop knows of HNS as a service.
type connection struct {
	features hnslb.Features
	known    bool
	network  hnslb.Network
	// fresh tells that network was read since it was last doubted.
	fresh bool
	// root is the node's own endpoint, if health checks are forwarded to it.
	root desired.Root
	// checked tells that the environment was computed from both.
	checked bool
	// backoff and retry tell when HNS, which did not answer, is asked again.
	backoff *apply.Backoff[string]
	retry   time.Time
}

func (c *connection) away() bool { return !c.retry.IsZero() }

// slowestRetry bounds the wait for an HNS or a network that is away: a node without
// Services should not wait longer for them than for the service itself.
const slowestRetry = 5 * time.Second

// connect makes sure that HNS answers and that its network is the one we know. It is
// false while HNS or the network is away.
func (p *Proxier) connect(ctx context.Context) bool {
	now := p.cfg.Clock.Now()
	if p.hns.away() && now.Before(p.hns.retry) {
		return false
	}
	if p.auditDue(now) {
		p.hns.fresh = false
	}
	if p.hns.fresh && !p.hns.away() {
		p.refreshEnv()
		return true
	}
	if !p.hns.known {
		f, err := p.cfg.Driver.Features(ctx)
		if err != nil {
			return p.unreachable(err)
		}
		p.hns.features, p.hns.known = f, true
		p.modify = f.Modify
		p.cfg.Logger.Info("HNS found", "version", f.Version.String(), "dsr", f.DSR,
			"sessionAffinity", f.SessionAffinity, "ipv6", f.IPv6, "modify", f.Modify)
	}
	n, err := p.cfg.Driver.Network(ctx, p.cfg.Network)
	if err != nil {
		return p.unreachable(err)
	}
	if p.hns.network.ID != n.ID {
		p.cfg.Logger.Info("HNS network found", "network", n.Name, "id", n.ID, "type", n.Type, "managementIP", n.ManagementIP)
	}
	p.hns.network, p.hns.fresh, p.hns.checked, p.hns.retry = n, true, false, time.Time{}
	p.hns.backoff.Succeeded("hns")
	p.view.SetNetwork(n)
	p.refreshEnv()
	return true
}

// unreachable notes that HNS did not answer or has no such network; what HNS holds is
// unknown from here on (law 6). It returns false.
func (p *Proxier) unreachable(err error) bool {
	now := p.cfg.Clock.Now()
	first := !p.hns.away()
	p.hns.fresh = false
	p.view.MarkStale()
	// A node whose HNS or network stays away must not look healthy.
	p.tellHealth(Health.QueuedUpdate)
	p.hns.retry = p.hns.backoff.Failed("hns", err, now)
	if limit := now.Add(slowestRetry); p.hns.retry.After(limit) {
		p.hns.retry = limit
	}
	if first {
		remedy := "is the HNS service running?"
		if hnslb.ErrorClass(err) == hnslb.NotFound {
			remedy = "waiting for the network plugin to make it; check --network-name"
		}
		p.cfg.Logger.Error(err, "HNS is away; it keeps what it holds", "network", p.cfg.Network, "remedy", remedy)
	}
	return false
}

// auditDue tells, once, that HNS is to be compared: the period is over, or somebody asked.
func (p *Proxier) auditDue(now time.Time) bool {
	p.mu.Lock()
	asked := p.audit
	p.audit = false
	p.mu.Unlock()
	if !asked && now.Before(p.lastAudit.Add(p.cfg.AuditPeriod)) {
		return false
	}
	p.lastAudit = now
	p.view.MarkStale()
	return true
}

// refreshEnv computes every Service again when the node or the network changed.
func (p *Proxier) refreshEnv() {
	p.mu.Lock()
	node, changed := p.nextNode, p.nodeChanged
	p.nodeChanged = false
	p.mu.Unlock()
	if !changed && p.env != nil && p.hns.checked {
		return
	}
	p.hns.checked = true
	env := desired.NewEnv(node, p.hns.network, p.hns.features, p.cfg.Options).WithRoot(p.hns.root)
	if p.env != nil && p.env.Same(env) {
		return
	}
	p.env = env
	p.compare = true
	p.store.MarkAll()
}

// list reads what HNS holds if that is in doubt, and queues all that differs from what
// is desired. It is false while HNS is away.
func (p *Proxier) list(ctx context.Context) bool {
	now := p.cfg.Clock.Now()
	if p.view.Stale() || p.locals.look || p.locals.due(now) {
		audit := p.lastAudit.Equal(now) && p.synced
		eps, err := p.cfg.Driver.Endpoints(ctx)
		if err != nil {
			return p.unreachable(err)
		}
		lbs, err := p.cfg.Driver.LoadBalancers(ctx)
		if err != nil {
			return p.unreachable(err)
		}
		drift := p.view.Replace(eps, lbs)
		if audit && len(drift.Frontends)+len(drift.Endpoints) > 0 {
			p.cfg.Metrics.DriftFound(metrics.Frontend, len(drift.Frontends))
			p.cfg.Metrics.DriftFound(metrics.Endpoint, len(drift.Endpoints))
			p.cfg.Logger.Info("HNS was changed behind our back; repairing",
				"frontends", len(drift.Frontends), "endpoints", len(drift.Endpoints))
		}
		p.locals.listed(now)
		p.noteRoot(eps)
		p.cfg.Metrics.RemoteEndpoints(p.view.OwnEndpoints())
		p.compare = true
	}
	if p.compare {
		p.compare = false
		p.enqueueAll()
	}
	return true
}

// noteRoot looks for the node's own endpoint in a fresh list. When it is another one, every
// Service is computed again before anything is compared.
func (p *Proxier) noteRoot(eps []hnslb.Endpoint) {
	root := desired.FindRoot(eps, p.hns.network.ID, p.cfg.Options.RootEndpoint)
	if root == p.hns.root {
		return
	}
	p.hns.root, p.hns.checked = root, false
	p.refreshEnv()
	p.compute()
}

// enqueueAll queues everything that is not as it should be.
func (p *Proxier) enqueueAll() {
	in := p.input()
	keys, ips := plan.All(in)
	for _, k := range keys {
		p.enqueueFrontend(in, k)
	}
	for _, ip := range ips {
		p.enqueueEndpoint(ip)
	}
	if len(plan.SourceVIP(in).Steps) > 0 {
		p.enqueue(endpointTask(p.env.SourceVIP()), plan.Critical)
	}
}
