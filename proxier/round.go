// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/apply"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/plan"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// A batch is small, so that what becomes urgent meanwhile waits for about this many
// writes, and large enough that taking changes costs nothing beside it.
const (
	batchSteps = 16
	batchTasks = 256
)

// width lets one call wait in HNS while another writes: HNS writes one at a time, but
// around each write hcsshim makes four calls that write nothing. More would only keep the
// network plugin's calls waiting behind ours.
const width = 2

// compute takes the Services that changed and queues the frontends that differ by it.
func (p *Proxier) compute() {
	inputs := p.store.Take()
	p.cfg.Metrics.ChangesTaken()
	if len(inputs) == 0 {
		return
	}
	in := p.input()
	for _, input := range inputs {
		p.computeService(in, input)
	}
}

func (p *Proxier) computeService(in plan.Input, input services.Input) {
	before := p.state.Frontends(input.Name)
	after := desired.Compute(input, p.env)
	p.reserve(input, before)
	changes := p.state.Set(input.Name, slices.Concat(after, p.reserved[input.Name].frontends))
	p.flights.start(input, changes.Frontends, after)
	for _, f := range before {
		if !slices.ContainsFunc(after, func(o *desired.Frontend) bool { return o.Key == f.Key }) {
			p.table.remove(f.Service, f.Key)
			p.events.Remove(f.Service, f.Key)
		}
	}
	for _, f := range after {
		p.locals.note(f)
		if !p.table.refresh(f) {
			p.report(f)
		}
	}
	for _, key := range changes.Frontends {
		p.backoff.Hurry(frontendTask(key))
		p.enqueueFrontend(in, key)
		p.report(p.state.Claims(key)...)
	}
	for _, ip := range changes.Unused {
		p.locals.forget(ip)
		p.enqueueEndpoint(ip)
	}
	for _, ip := range changes.Reassigned {
		p.reassign(in, ip)
	}
}

// reassign looks again at everything that meets at an address which became a cluster IP, or
// stopped being one. Those who have to let go of the cluster IP of a critical Service are as
// urgent as that Service.
func (p *Proxier) reassign(in plan.Input, ip netip.Addr) {
	urgent := plan.ClassOfEndpoint(in, ip)
	for _, key := range p.state.Users(ip) {
		p.enqueue(frontendTask(key), min(urgent, plan.ClassOf(in, key)))
	}
	p.enqueueEndpoint(ip)
}

func (p *Proxier) enqueueFrontend(in plan.Input, key hnslb.FrontendKey) {
	p.enqueue(frontendTask(key), plan.ClassOf(in, key))
}

func (p *Proxier) enqueueEndpoint(ip netip.Addr) {
	if len(p.view.At(ip)) > 0 {
		p.enqueue(endpointTask(ip), plan.ClassOfEndpoint(p.input(), ip))
	}
}

// enqueue queues a task unless it failed a moment ago; then its time will come.
func (p *Proxier) enqueue(t task, c plan.Class) {
	now := p.cfg.Clock.Now()
	if p.backoff.Waits(t, now) {
		return
	}
	p.queue.add(t, c)
	family := familyOf(t)
	p.sixes = p.sixes || family == hnslb.IPv6
	p.cfg.Metrics.SyncQueued(family, now)
	if p.cfg.Health != nil {
		p.cfg.Health.QueuedUpdate(family)
	}
}

func familyOf(t task) hnslb.Family {
	if t.isEndpoint() {
		return hnslb.FamilyOf(t.ip)
	}
	return t.key.Family
}

// retryDue queues what failed and whose time has come.
func (p *Proxier) retryDue() {
	if p.backoff.Len() == 0 {
		return
	}
	in := p.input()
	for _, t := range p.backoff.Due(p.cfg.Clock.Now()) {
		if !t.isEndpoint() {
			p.enqueueFrontend(in, t.key)
			continue
		}
		p.retryEndpoint(in, t.ip)
	}
}

// retryEndpoint queues whoever needs a failed endpoint, and the endpoint itself when it
// may have to be deleted.
func (p *Proxier) retryEndpoint(in plan.Input, ip netip.Addr) {
	users := p.state.Users(ip)
	for _, key := range users {
		p.enqueueFrontend(in, key)
	}
	p.enqueueEndpoint(ip)
	if ip == p.env.SourceVIP() {
		p.enqueue(endpointTask(ip), plan.Critical)
		return
	}
	if len(users) == 0 && len(p.view.At(ip)) == 0 {
		p.backoff.Succeeded(endpointTask(ip))
	}
}

// stopGrace is how long a unit that was begun may go on after the proxy was asked to stop:
// enough for hundreds of writes, and less than what Windows and Kubernetes grant.
const stopGrace = 5 * time.Second

// outlive returns a context that ends stopGrace after ctx, or when release is called.
func (p *Proxier) outlive(ctx context.Context) (longer context.Context, release func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		timer := p.cfg.Clock.NewTimer(stopGrace)
		defer timer.Stop()
		select {
		case <-timer.C():
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() {
		forget()
		cancel()
	}
}

// batch carries out the most urgent tasks and returns the families that it touched. Once
// ctx has ended it begins no other task, but ends those under way: between the deletion
// of a load balancer and the creation after it the VIP serves nobody, and stopping there
// would leave it so until the next start (law 8).
func (p *Proxier) batch(ctx context.Context) map[hnslb.Family]bool {
	working, release := p.outlive(ctx)
	defer release()
	families := map[hnslb.Family]bool{}
	target := apply.Target{Driver: p.cfg.Driver, View: p.view, Width: width}
	for left := batchSteps; left > 0 && ctx.Err() == nil; {
		tasks, units := p.next(left)
		if len(tasks) == 0 {
			break
		}
		unknown := false
		for i, r := range apply.Batch(working, target, units, ctx.Done()) {
			families[familyOf(tasks[i])] = true
			p.writes += r.Steps
			p.settle(tasks[i], units[i], r)
			left -= len(units[i].Steps)
			unknown = unknown || r.Unknown
		}
		p.releaseFreed()
		if unknown {
			break
		}
	}
	return families
}

// next takes the next task with its plan, and those of the same class behind it whose
// calls may be mixed with its own. Other classes wait: a deletion may make room for what
// is planned after it.
func (p *Proxier) next(steps int) (tasks []task, units []plan.Unit) {
	t, class, ok := p.queue.peek()
	for c := class; ok && c == class && len(tasks) < batchTasks && steps > 0; t, c, ok = p.queue.peek() {
		u := p.plan(t)
		alone := u.Adjacent()
		if alone && len(tasks) > 0 {
			break
		}
		p.queue.pop()
		tasks, units = append(tasks, t), append(units, u)
		if steps -= len(u.Steps); alone {
			break
		}
	}
	return tasks, units
}

// releaseFreed queues the endpoints that no load balancer names any more and that have to
// go: nobody wants them, or a local one has taken their place.
func (p *Proxier) releaseFreed() {
	for _, ip := range p.view.TakeFreed() {
		if t := endpointTask(ip); len(p.plan(t).Steps) > 0 {
			p.enqueue(t, plan.ClassOfEndpoint(p.input(), ip))
		}
	}
}

func (p *Proxier) plan(t task) plan.Unit {
	in := p.input()
	switch {
	case !t.isEndpoint():
		return plan.Frontend(in, t.key)
	case t.ip == p.env.SourceVIP():
		return plan.SourceVIP(in)
	}
	return plan.Endpoint(in, t.ip)
}

// observe reports a round that did something.
func (p *Proxier) observe(start time.Time, families map[hnslb.Family]bool) {
	p.lastBatch = p.cfg.Clock.Now()
	p.cfg.Metrics.Pending(p.queue.len())
	p.cfg.Metrics.RemoteEndpoints(p.view.OwnEndpoints())
	for f := range families {
		if p.behind[f] = !p.hns.fresh; p.behind[f] {
			p.cfg.Metrics.SyncFailed(f, start, p.lastBatch)
		} else {
			p.cfg.Metrics.SyncDone(f, start, p.lastBatch)
		}
	}
}

// catchUp reports a success where the last round of a family broke off, and nothing was left
// to do when HNS could be asked again. Who compares the metrics' time stamps would wait for
// it for ever.
func (p *Proxier) catchUp() {
	now := p.cfg.Clock.Now()
	for f := range p.behind {
		if p.behind[f] {
			p.cfg.Metrics.SyncDone(f, now, now)
		}
	}
	clear(p.behind)
}
