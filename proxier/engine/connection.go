// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier/backoff"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

const (
	// slowestRetry bounds the wait for an HNS or a network that is away: a node without
	// Services should not wait longer for them than for the service itself.
	slowestRetry = 5 * time.Second
	// doubtPause is the shortest time between two questions for the network that failed
	// calls give rise to.
	doubtPause = time.Second
	// reminder is how often a failure that lasts is told.
	reminder = time.Minute
)

// connection is what the engine knows of HNS as a service.
type connection struct {
	features hnslb.Features
	network  hnslb.Network
	// known tells that both were read once.
	known bool
	// root is the node's own endpoint, if health checks are forwarded to it.
	root desired.Root
	// wanted asks for the network, not before next. asking: the question is under way.
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
	return connection{wanted: true, backoff: backoff.New[string](cfg.Seed), lost: cfg.Start, why: "HNS was not asked yet"}
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
	if !c.asking || e.cfg.CallTimeout <= 0 || e.now.Before(c.asked.Add(e.cfg.CallTimeout)) {
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
	if err != nil {
		e.hnsLost(err)
		return
	}
	if !c.known {
		e.tell(HNSFound{f})
		e.modify.able = f.Modify
	}
	if c.network.ID != n.ID {
		e.tell(NetworkFound{n})
	}
	returned := c.away()
	c.features, c.network, c.known, c.read = f, n, true, c.asked
	c.lost, c.told, c.why = time.Time{}, time.Time{}, ""
	c.next = e.now.Add(doubtPause)
	c.backoff.Succeeded("hns")
	if e.view.SetNetwork(n) || returned {
		e.looks.forget(e.now)
	}
	e.refreshEnv()
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
