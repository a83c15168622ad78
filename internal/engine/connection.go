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
	// maxConnectionRetry limits the wait between reads while HNS or the network is unavailable, so
	// that the node is programmed soon after they are back.
	maxConnectionRetry = 5 * time.Second
	// recheckPause is the minimum time between two reads of the network that failed calls trigger.
	recheckPause = time.Second
	// managementIPTimeout is how long an L2Bridge network may be without a management IP before the
	// load balancers that do not need it are written.
	managementIPTimeout = 10 * time.Second
	// reportInterval is how often a persistent failure is reported.
	reportInterval = time.Minute
)

// connection is the state of HNS and of the network that carries the pods.
type connection struct {
	features hnslb.Features
	// learnedMaxEndpoints is the maximum number of endpoints per load balancer, learned from a
	// refusal; 0 if none was refused.
	learnedMaxEndpoints int
	// network is the network as last read, and host the address and MAC of this node on it. While
	// the network shows no management IP or MAC, the last known ones are kept.
	network hnslb.Network
	host    desired.Host
	// reportedHost is the last HostFound transition.
	reportedHost HostFound
	// missing names what the network does not have yet, and incompleteSince since when.
	missing         string
	incompleteSince time.Time
	// completeSince is when the network became complete. routesSettled is true once its routes have
	// been added, or the wait for them has ended.
	completeSince time.Time
	routesSettled bool
	// incompleteReported is when missing was last reported.
	incompleteReported time.Time
	// known is true once features and network have been read.
	known bool
	// root is the node's own endpoint, if health checks are forwarded to it.
	root desired.Root
	// wanted requests a read of the network, to start at notBefore or later. inProgress is true
	// during the read, which started at askedAt.
	wanted, inProgress bool
	notBefore, askedAt time.Time
	// readAt is when the last successful read was started.
	readAt  time.Time
	backoff *backoff.Backoff[string]
	// unavailableSince is since when HNS does not answer or the network does not exist, and
	// unavailableReason why; the zero time while both are available. lastReported is when that was
	// last reported.
	unavailableSince, lastReported time.Time
	unavailableReason              string
}

func newConnection(cfg Config) connection {
	return connection{wanted: true, backoff: backoff.New[string](cfg.Seed), unavailableSince: cfg.Start, unavailableReason: "HNS not queried yet"}
}

// unavailable returns whether HNS does not answer, or the network does not exist.
func (c *connection) unavailable() bool { return !c.unavailableSince.IsZero() }

// startRead returns whether the network has to be read now, and if so records the read.
func (c *connection) startRead(now time.Time) bool {
	if !c.wanted || c.inProgress || now.Before(c.notBefore) {
		return false
	}
	c.wanted, c.inProgress, c.askedAt = false, true, now
	return true
}

// readDue returns when the network has to be read, the zero time for never.
func (c *connection) readDue() time.Time {
	if !c.wanted || c.inProgress {
		return time.Time{}
	}
	if c.notBefore.IsZero() {
		return c.askedAt.Add(1) // at once
	}
	return c.notBefore
}

// expireRead treats a read that exceeds the call timeout as failed. The next one starts after a
// while only, since each read that hangs occupies a thread.
func (c *connection) expireRead(e *Engine) {
	if !c.inProgress || e.callTimeout() <= 0 || e.now.Before(c.askedAt.Add(e.callTimeout())) {
		return
	}
	c.inProgress = false
	e.hnsLost(&hnslb.Error{Verb: hnslb.VerbNetwork, Object: "HNS", Class: hnslb.Timeout, Err: errNoAnswer})
	c.notBefore = e.now.Add(reportInterval)
}

// readDeadline returns when the read in progress is treated as failed, the zero time for never.
func (c *connection) readDeadline(timeout time.Duration) time.Time {
	if !c.inProgress || timeout <= 0 {
		return time.Time{}
	}
	return c.askedAt.Add(timeout)
}

// recheck requests a read of the network, after a call failed in a way that suggests that HNS or
// the network is gone.
func (c *connection) recheck() { c.wanted = true }

// CheckNetwork requests a read of the network now, because HNS networks were created or deleted.
func (e *Engine) CheckNetwork() { e.hns.wanted, e.hns.notBefore = true, time.Time{} }

// ServiceChanged records that the HNS service has stopped or started: calls in flight will not
// return, and everything has to be listed again.
func (e *Engine) ServiceChanged() {
	e.CheckNetwork()
	e.calls.orphanAll()
	e.listing.requestAll(e.now)
}

// NetworkRead takes the result of a read that Ready.Network requested.
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

// updateHost updates the address and MAC of this node on the network, and returns whether HNS has
// to be listed again because of it.
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

// missingPart names what the network is missing, "" for nothing (law 15). On an overlay the
// endpoints of cluster IPs and of the source VIP carry the host's address and MAC; on every network
// the rules of node ports carry the management IP.
func (c *connection) missingPart() string {
	switch {
	case !c.network.ManagementIP.IsValid():
		return "no management IP assigned yet"
	case c.network.IsOverlay() && c.host.MAC == "":
		return "no network adapter on this host has address " + c.host.IP.String() + " yet, so the host MAC address is unknown"
	}
	return ""
}

// updateMissing records and reports what the network is missing, and requests another read. before
// is the network as read the previous time.
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

// updateRoutesSettled records whether the routes of an otherwise complete network have settled. A
// network plugin adds them one after another when it starts. They have settled if there are some at
// the first read, if they did not change between two reads, or after routeTimeout.
func (e *Engine) updateRoutesSettled(before hnslb.Network) {
	c := &e.hns
	first := c.completeSince.IsZero()
	if first {
		c.completeSince = e.now
	}
	some := len(c.network.Remotes) > 0
	settled := c.routesSettled || some && (first || slices.Equal(before.Remotes, c.network.Remotes)) || !e.now.Before(c.completeSince.Add(routeTimeout))
	if settled && !c.routesSettled && !first {
		e.enqueueAll() // some frontends waited for routes
	}
	c.routesSettled = settled
}

// networkComplete returns whether the network is complete enough for writes. L2Bridge continues
// without a management IP after a while: only node ports need it, and they are re-created when it
// is assigned.
func (e *Engine) networkComplete() bool {
	c := &e.hns
	return c.missing == "" || !c.network.IsOverlay() && !e.now.Before(c.incompleteSince.Add(managementIPTimeout))
}

// hnsLost records that HNS did not answer or the network does not exist. From then on the state of
// HNS is unknown (law 6).
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
