// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/backoff"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

const (
	// maxConnectionRetry bounds the wait for an HNS or a network that is away: a node without
	// Services should not wait longer for them than for the service itself.
	maxConnectionRetry = 5 * time.Second
	// recheckPause is the shortest time between two questions for the network that failed
	// calls give rise to.
	recheckPause = time.Second
	// managementIPTimeout is how long an L2Bridge network may lack its management IP before what can
	// do without is written all the same.
	managementIPTimeout = 10 * time.Second
	// reportInterval is how often a failure that lasts is told.
	reportInterval = time.Minute
)

// connection is what the engine knows of HNS as a service.
type connection struct {
	features hnslb.Features
	// learnedMaxEndpoints is how many a load balancer may name, if HNS refused more; else 0.
	learnedMaxEndpoints int
	// network is as it was read last, but for the management IP and the MAC of the host: while
	// it shows none, and in host, they are the last ones that were known.
	network hnslb.Network
	host    desired.Host
	// reportedHost is what was told of host last.
	reportedHost HostFound
	// missing says what the network does not have yet, and since when.
	missing         string
	incompleteSince time.Time
	// completeSince is since when it lacks nothing; settled tells that its routes have come, or do not.
	completeSince time.Time
	routesSettled bool
	// incompleteReported is when that was told last.
	incompleteReported time.Time
	// known tells that both were read once.
	known bool
	// root is the node's own endpoint, if health checks are forwarded to it.
	root desired.Root
	// wanted asks for the network, not before next. asking: the question is in progress.
	wanted, inProgress bool
	notBefore, askedAt time.Time
	// readAt is when the answer was asked for that is known.
	readAt  time.Time
	backoff *backoff.Backoff[string]
	// unavailableSince is since when HNS does not answer or has no such network, and why; told is when
	// that was told last.
	unavailableSince, lastReported time.Time
	unavailableReason              string
}

func newConnection(cfg Config) connection {
	return connection{wanted: true, backoff: backoff.New[string](cfg.Seed), unavailableSince: cfg.Start, unavailableReason: "HNS not queried yet"}
}

// unavailable tells whether HNS does not answer, or has no such network.
func (c *connection) unavailable() bool { return !c.unavailableSince.IsZero() }

// startRead tells whether the network is to be asked for now.
func (c *connection) startRead(now time.Time) bool {
	if !c.wanted || c.inProgress || now.Before(c.notBefore) {
		return false
	}
	c.wanted, c.inProgress, c.askedAt = false, true, now
	return true
}

// readDue returns when the network is to be asked for, the zero time for never.
func (c *connection) readDue() time.Time {
	if !c.wanted || c.inProgress {
		return time.Time{}
	}
	if c.notBefore.IsZero() {
		return c.askedAt.Add(1) // at once
	}
	return c.notBefore
}

// expireRead takes an answer that does not come for none. The network is asked for again
// after a while: each question that hangs holds a thread.
func (c *connection) expireRead(e *Engine) {
	if !c.inProgress || e.callTimeout() <= 0 || e.now.Before(c.askedAt.Add(e.callTimeout())) {
		return
	}
	c.inProgress = false
	e.hnsLost(&hnslb.Error{Verb: hnslb.VerbNetwork, Object: "HNS", Class: hnslb.Timeout, Err: errNoAnswer})
	c.notBefore = e.now.Add(reportInterval)
}

// readDeadline returns when an answer that does not come is taken for none.
func (c *connection) readDeadline(timeout time.Duration) time.Time {
	if !c.inProgress || timeout <= 0 {
		return time.Time{}
	}
	return c.askedAt.Add(timeout)
}

// recheck asks for the network: a call failed in a way that HNS or the network may be gone.
func (c *connection) recheck() { c.wanted = true }

// CheckNetwork asks for the network now: networks came or went.
func (e *Engine) CheckNetwork() { e.hns.wanted, e.hns.notBefore = true, time.Time{} }

// ServiceChanged says that the service HNS ended or began: calls that did not return will
// not, and everything has to be listed again.
func (e *Engine) ServiceChanged() {
	e.CheckNetwork()
	e.calls.orphanAll()
	e.listing.requestAll(e.now)
}

// NetworkRead takes the answer to Ready.Network.
func (e *Engine) NetworkRead(f hnslb.Features, n hnslb.Network, err error) {
	c := &e.hns
	c.inProgress = false
	if err == nil && !n.CarriesServices() {
		err = &hnslb.Error{Verb: hnslb.VerbNetwork, Object: n.Name, Class: hnslb.Unsupported,
			Err: fmt.Errorf("network type %s does not support load balancers", n.Type)}
	}
	if err != nil {
		e.hnsLost(err)
		return
	}
	if !c.known {
		e.emit(HNSFound{f})
		e.modify.supported = f.Modify
		e.calls.setMaxConcurrent(f.Version, e.cfg.MaxConcurrentCalls)
	}
	if c.network.ID != n.ID {
		e.emit(NetworkFound{n})
		c.host, c.missing, c.incompleteSince, c.completeSince, c.routesSettled = desired.Host{}, "", time.Time{}, time.Time{}, false
	} else if !n.ManagementIP.IsValid() {
		n.ManagementIP = c.network.ManagementIP
	}
	returned, before := c.unavailable(), c.network
	if returned {
		e.routes.restart(e.now)
	}
	if c.learnedMaxEndpoints > 0 {
		f.MaxEndpoints = c.learnedMaxEndpoints
	}
	c.features, c.network, c.known, c.readAt = f, n, true, c.askedAt
	c.unavailableSince, c.lastReported, c.unavailableReason = time.Time{}, time.Time{}, ""
	c.notBefore = e.now.Add(recheckPause)
	c.backoff.Succeeded("hns")
	if e.updateHost() || returned {
		e.listing.invalidate(e.now)
	}
	e.refreshEnv()
	e.updateMissing(before)
}

// updateHost chooses which address and MAC of this node count, and tells whether HNS has to be
// listed again for it.
func (e *Engine) updateHost() (unknown bool) {
	c := &e.hns
	if h := desired.HostOf(e.node, c.network); h.Complete() || !c.host.Complete() {
		c.host = h
	}
	if found := (HostFound{c.host, e.node.IPs, c.network}); c.host.IP.IsValid() && !found.same(c.reportedHost) {
		e.emit(found)
		c.reportedHost = found
	}
	shown := c.network
	shown.HostMAC = c.host.MAC
	return e.view.SetNetwork(shown)
}

// missingPart says what a network still lacks of what everything on it rests on, "" for nothing
// (law 15). The endpoints of cluster IPs and of the source VIP carry the host's address and MAC
// on an overlay, the rules of node ports the management IP everywhere.
func (c *connection) missingPart() string {
	switch {
	case !c.network.ManagementIP.IsValid():
		return "no management IP assigned yet"
	case c.network.IsOverlay() && c.host.MAC == "":
		return "no network adapter on this host has address " + c.host.IP.String() + " yet, so the host MAC address is unknown"
	}
	return ""
}

// updateMissing takes note of what the network lacks since it was read before, asks for it again after
// a while, and tells of it.
func (e *Engine) updateMissing(before hnslb.Network) {
	c := &e.hns
	lack := c.missingPart()
	if lack == "" {
		if c.missing != "" {
			e.emit(NetworkComplete{c.network, c.host})
			e.routes.restart(e.now)
		}
		c.missing, c.incompleteSince = "", time.Time{}
		e.updateRoutesSettled(before)
		return
	}
	c.completeSince, c.routesSettled = time.Time{}, false
	if c.incompleteSince.IsZero() {
		c.incompleteSince = e.now
	}
	if lack != c.missing || !e.now.Before(c.incompleteReported.Add(reportInterval)) {
		e.emit(NetworkIncomplete{c.network, lack, c.incompleteSince})
		changed := lack != c.missing
		if c.missing, c.incompleteReported = lack, e.now; changed {
			e.reportAll()
		}
	}
	c.wanted = true
	if !e.now.Before(c.incompleteSince.Add(reportInterval)) {
		c.notBefore = e.now.Add(maxConnectionRetry)
	}
}

// updateRoutesSettled tells whether the routes of a network that lacks nothing else have settled. A
// network plugin adds them one after another when it starts: they have when there are some at
// the first look, or the same as a second before, or after routeTimeout.
func (e *Engine) updateRoutesSettled(before hnslb.Network) {
	c := &e.hns
	first := c.completeSince.IsZero()
	if first {
		c.completeSince = e.now
	}
	some := len(c.network.Remotes) > 0
	settled := c.routesSettled || some && (first || slices.Equal(before.Remotes, c.network.Remotes)) || !e.now.Before(c.completeSince.Add(routeTimeout))
	if settled && !c.routesSettled && !first {
		e.enqueueAll() // some waited
	}
	c.routesSettled = settled
}

// networkComplete tells whether writes may rest on the network. L2Bridge goes on without a management
// IP after a while: only node ports need it, and they are re-created when it comes.
func (e *Engine) networkComplete() bool {
	c := &e.hns
	return c.missing == "" || !c.network.IsOverlay() && !e.now.Before(c.incompleteSince.Add(managementIPTimeout))
}

// hnsLost notes that HNS did not answer or has no such network. What HNS holds is unknown
// from here on (law 6).
func (e *Engine) hnsLost(err error) {
	c := &e.hns
	if !c.unavailable() {
		c.unavailableSince = e.now
	}
	c.unavailableReason = errorText(err)
	if c.lastReported.IsZero() || !e.now.Before(c.lastReported.Add(reportInterval)) {
		c.lastReported = e.now
		e.emit(HNSLost{err, c.unavailableSince})
	}
	c.wanted = true
	c.notBefore = c.backoff.Failed("hns", err, e.now)
	if limit := e.now.Add(maxConnectionRetry); c.notBefore.After(limit) {
		c.notBefore = limit
	}
}
