// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/proxier"
)

// late is how long a late call takes before it takes effect.
const late = 30 * time.Second

// meddler loses answers of writes, and makes writes late.
type meddler struct {
	mu sync.Mutex
	// every lose-th write is done and its answer lost, every delay-th is late; 0 for none.
	lose, delay, writes int
	lates               []lateCall
	// names are the objects of IDs: addresses and frontends.
	names map[hnslb.ID]netip.Addr
}

// lateCall is a write that takes long, about a cluster IP or the address of an endpoint.
type lateCall struct {
	about netip.Addr
	begun time.Time
}

// join puts the meddler between a proxy and its driver.
func (m *meddler) join(cfg *proxier.Config) {
	m.names = map[hnslb.ID]netip.Addr{}
	cfg.Driver = hnslb.Intercept(writesThrough(cfg.Driver, m.meddle), m.listen)
}

func (m *meddler) set(lose, delay int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lose, m.delay, m.writes = lose, delay, 0
}

func (m *meddler) meddle(v hnslb.Verb, object string, call func() error) error {
	m.mu.Lock()
	m.writes++
	lose, delay := m.lose > 0 && m.writes%m.lose == 0, m.delay > 0 && m.writes%m.delay == 0
	if delay {
		m.lates = append(m.lates, lateCall{m.about(object), time.Now()})
	}
	m.mu.Unlock()
	if delay {
		<-time.After(late)
	}
	if err := call(); err != nil || !lose || delay {
		return err
	}
	return lost(v, object)
}

// about returns the address that an object is about.
func (m *meddler) about(object string) netip.Addr {
	if ip, ok := m.names[hnslb.ID(object)]; ok {
		return ip
	}
	if ip, err := netip.ParseAddr(object); err == nil {
		return ip
	}
	vip, _ := netip.ParseAddrPort(object[:len(object)-len("/TCP")])
	return vip.Addr()
}

// held tells whether a late call about an object of a change was under way while it was.
func (m *meddler) held(c servedChange) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.lates {
		if l.begun.Before(c.done) && c.begun.Before(l.begun.Add(late)) && (l.about == c.vip || slices.Contains(c.addresses, l.about)) {
			return true
		}
	}
	return false
}

// listen learns what the objects of IDs are called.
func (m *meddler) listen(ctx context.Context, c hnslb.Call, next hnslb.Next) (any, error) {
	out, err := next(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch out := out.(type) {
	case []hnslb.Endpoint:
		for _, ep := range out {
			m.names[ep.ID] = ep.IPs[0]
		}
	case []hnslb.LoadBalancer:
		for _, lb := range out {
			m.note(lb)
		}
	case hnslb.Endpoint:
		if asked, ok := c.Argument.(hnslb.Endpoint); ok {
			m.names[out.ID] = asked.IPs[0]
		}
	case hnslb.LoadBalancer:
		m.note(out)
	}
	return out, err
}

// note learns what a load balancer is called and which endpoints it names.
func (m *meddler) note(lb hnslb.LoadBalancer) {
	key, ok := lb.Key()
	if !ok {
		return
	}
	m.names[lb.ID] = key.VIP
}
