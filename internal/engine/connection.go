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
	// slowestRetry bounds the wait for an HNS or a network that is away: a node without
	// Services should not wait longer for them than for the service itself.
	slowestRetry = 5 * time.Second
	// doubtPause is the shortest time between two questions for the network that failed
	// calls give rise to.
	doubtPause = time.Second
	// networkPatience is how long an L2Bridge network may lack its management IP before what can
	// do without is written all the same.
	networkPatience = 10 * time.Second
	// reminder is how often a failure that lasts is told.
	reminder = time.Minute
)

// connection is what the engine knows of HNS as a service.
type connection struct {
	features hnslb.Features
	// mostEndpoints is how many a load balancer may name, if HNS refused more; else 0.
	mostEndpoints int
	// network is as it was read last, but for the management IP and the MAC of the host: while
	// it shows none, and in host, they are the last ones that were known.
	network hnslb.Network
	host    desired.Host
	// found is what was told of host last.
	found HostFound
	// lacks says what the network does not have yet, and since when.
	lacks   string
	lacking time.Time
	// whole is since when it lacks nothing; settled tells that its routes have come, or do not.
	whole   time.Time
	settled bool
	// reminded is when that was told last.
	reminded time.Time
	// known tells that both were read once.
	known bool
	// root is the node's own endpoint, if health checks are forwarded to it.
	root desired.Root
	// wanted asks for the network, not before next. asking: the question is in progress.
	wanted, asking bool
	next, asked    time.Time
	// read is when the answer was asked for that is known.
	read    time.Time
	backoff *backoff.Backoff[string]
	// lost is since when HNS does not answer or has no such network, and why; told is when
	// that was told last.
	lost, told time.Time
	why        string
}

func newConnection(cfg Config) connection {
	return connection{wanted: true, backoff: backoff.New[string](cfg.Seed), lost: cfg.Start, why: "HNS not queried yet"}
}

// away tells whether HNS does not answer, or has no such network.
func (c *connection) away() bool { return !c.lost.IsZero() }

// ask tells whether the network is to be asked for now.
func (c *connection) ask(now time.Time) bool {
	if !c.wanted || c.asking || now.Before(c.next) {
		return false
	}
	c.wanted, c.asking, c.asked = false, true, now
	return true
}

// due returns when the network is to be asked for, the zero time for never.
func (c *connection) due() time.Time {
	if !c.wanted || c.asking {
		return time.Time{}
	}
	if c.next.IsZero() {
		return c.asked.Add(1) // at once
	}
	return c.next
}

// noticeHanging takes an answer that does not come for none. The network is asked for again
// after a while: each question that hangs holds a thread.
func (c *connection) noticeHanging(e *Engine) {
	if !c.asking || e.callTimeout() <= 0 || e.now.Before(c.asked.Add(e.callTimeout())) {
		return
	}
	c.asking = false
	e.hnsLost(&hnslb.Error{Verb: hnslb.VerbNetwork, Object: "HNS", Class: hnslb.Timeout, Err: errNoAnswer})
	c.next = e.now.Add(reminder)
}

// givenUp returns when an answer that does not come is taken for none.
func (c *connection) givenUp(timeout time.Duration) time.Time {
	if !c.asking || timeout <= 0 {
		return time.Time{}
	}
	return c.asked.Add(timeout)
}

// doubt asks for the network: a call failed in a way that HNS or the network may be gone.
func (c *connection) doubt() { c.wanted = true }

// CheckNetwork asks for the network now: networks came or went.
func (e *Engine) CheckNetwork() { e.hns.wanted, e.hns.next = true, time.Time{} }

// ServiceChanged says that the service HNS ended or began: calls that did not return will
// not, and everything has to be listed again.
func (e *Engine) ServiceChanged() {
	e.CheckNetwork()
	e.calls.orphan()
	e.looks.wantAll(e.now)
}

// NetworkRead takes the answer to Ready.Network.
func (e *Engine) NetworkRead(f hnslb.Features, n hnslb.Network, err error) {
	c := &e.hns
	c.asking = false
	if err == nil && !n.CarriesServices() {
		err = &hnslb.Error{Verb: hnslb.VerbNetwork, Object: n.Name, Class: hnslb.Unsupported,
			Err: fmt.Errorf("network type %s does not support load balancers", n.Type)}
	}
	if err != nil {
		e.hnsLost(err)
		return
	}
	if !c.known {
		e.tell(HNSFound{f})
		e.modify.able = f.Modify
		e.calls.setWidth(f.Version, e.cfg.AtOnce)
	}
	if c.network.ID != n.ID {
		e.tell(NetworkFound{n})
		c.host, c.lacks, c.lacking, c.whole, c.settled = desired.Host{}, "", time.Time{}, time.Time{}, false
	} else if !n.ManagementIP.IsValid() {
		n.ManagementIP = c.network.ManagementIP
	}
	returned, before := c.away(), c.network
	if returned {
		e.routes.restart(e.now)
	}
	if c.mostEndpoints > 0 {
		f.MaxEndpoints = c.mostEndpoints
	}
	c.features, c.network, c.known, c.read = f, n, true, c.asked
	c.lost, c.told, c.why = time.Time{}, time.Time{}, ""
	c.next = e.now.Add(doubtPause)
	c.backoff.Succeeded("hns")
	if e.settleHost() || returned {
		e.looks.forget(e.now)
	}
	e.refreshEnv()
	e.noteLack(before)
}

// settleHost chooses which address and MAC of this node count, and tells whether HNS has to be
// listed again for it.
func (e *Engine) settleHost() (unknown bool) {
	c := &e.hns
	if h := desired.HostOf(e.node, c.network); h.Complete() || !c.host.Complete() {
		c.host = h
	}
	if found := (HostFound{c.host, e.node.IPs, c.network}); c.host.IP.IsValid() && !found.same(c.found) {
		e.tell(found)
		c.found = found
	}
	shown := c.network
	shown.HostMAC = c.host.MAC
	return e.view.SetNetwork(shown)
}

// lack says what a network still lacks of what everything on it rests on, "" for nothing
// (law 15). The endpoints of cluster IPs and of the source VIP carry the host's address and MAC
// on an overlay, the rules of node ports the management IP everywhere.
func (c *connection) lack() string {
	switch {
	case !c.network.ManagementIP.IsValid():
		return "no management IP assigned yet"
	case c.network.IsOverlay() && c.host.MAC == "":
		return "no network adapter on this host has address " + c.host.IP.String() + " yet, so the host MAC address is unknown"
	}
	return ""
}

// noteLack takes note of what the network lacks since it was read before, asks for it again after
// a while, and tells of it.
func (e *Engine) noteLack(before hnslb.Network) {
	c := &e.hns
	lack := c.lack()
	if lack == "" {
		if c.lacks != "" {
			e.tell(NetworkComplete{c.network, c.host})
			e.routes.restart(e.now)
		}
		c.lacks, c.lacking = "", time.Time{}
		e.noteSettled(before)
		return
	}
	c.whole, c.settled = time.Time{}, false
	if c.lacking.IsZero() {
		c.lacking = e.now
	}
	if lack != c.lacks || !e.now.Before(c.reminded.Add(reminder)) {
		e.tell(NetworkIncomplete{c.network, lack, c.lacking})
		changed := lack != c.lacks
		if c.lacks, c.reminded = lack, e.now; changed {
			e.reportAll()
		}
	}
	c.wanted = true
	if !e.now.Before(c.lacking.Add(reminder)) {
		c.next = e.now.Add(slowestRetry)
	}
}

// noteSettled tells whether the routes of a network that lacks nothing else have settled. A
// network plugin adds them one after another when it starts: they have when there are some at
// the first look, or the same as a second before, or after routePatience.
func (e *Engine) noteSettled(before hnslb.Network) {
	c := &e.hns
	first := c.whole.IsZero()
	if first {
		c.whole = e.now
	}
	some := len(c.network.Remotes) > 0
	settled := c.settled || some && (first || slices.Equal(before.Remotes, c.network.Remotes)) || !e.now.Before(c.whole.Add(routePatience))
	if settled && !c.settled && !first {
		e.enqueueAll() // some waited
	}
	c.settled = settled
}

// complete tells whether writes may rest on the network. L2Bridge goes on without a management
// IP after a while: only node ports need it, and they are re-created when it comes.
func (e *Engine) complete() bool {
	c := &e.hns
	return c.lacks == "" || !c.network.IsOverlay() && !e.now.Before(c.lacking.Add(networkPatience))
}

// hnsLost notes that HNS did not answer or has no such network. What HNS holds is unknown
// from here on (law 6).
func (e *Engine) hnsLost(err error) {
	c := &e.hns
	if !c.away() {
		c.lost = e.now
	}
	c.why = sentence(err)
	if c.told.IsZero() || !e.now.Before(c.told.Add(reminder)) {
		c.told = e.now
		e.tell(HNSLost{err, c.lost})
	}
	c.wanted = true
	c.next = c.backoff.Failed("hns", err, e.now)
	if limit := e.now.Add(slowestRetry); c.next.After(limit) {
		c.next = limit
	}
}
