// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"context"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

const (
	// nextNotification is no function of a DLL: the stand-in asks with it for what to call
	// a callback with. It is neither counted nor subject to latency and faults.
	nextNotification = "NextNotification"
	// maxWait is how long it is kept waiting. Its client may have died meanwhile, which
	// shows when the answer is written.
	maxWait = 5 * time.Second
)

// callback is a registered service callback, of which one thread of the client asks for what
// to deliver.
type callback struct {
	// cancel ends the registration with the emulator.
	cancel func()
	news   chan struct{}
	ended  chan struct{}

	mu      sync.Mutex
	waiting []emulator.Notification
}

// hear takes a notification from the emulator.
func (c *callback) hear(n emulator.Notification) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, n)
	select {
	case c.news <- struct{}{}:
	default: // it is known that there are some
	}
}

// take returns the oldest notification that was not delivered.
func (c *callback) take() (n emulator.Notification, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return n, false
	}
	n, c.waiting = c.waiting[0], c.waiting[1:]
	return n, true
}

// next waits for a notification.
func (c *callback) next(ctx context.Context) (n emulator.Notification, ok bool) {
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	for {
		if n, ok = c.take(); ok {
			return n, true
		}
		select {
		case <-c.news:
		case <-c.ended:
			return n, false
		case <-timer.C:
			return n, false
		case <-ctx.Done():
			return n, false
		}
	}
}

// callbacks are those that are registered, by handle. The zero value is empty.
type callbacks struct {
	mu   sync.Mutex
	open map[uint64]*callback
}

func (t *callbacks) add(handle uint64, c *callback) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[uint64]*callback{}
	}
	t.open[handle] = c
}

func (t *callbacks) get(handle uint64) *callback {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open[handle]
}

// end ends those with the handles, all of them when there are none; who waits for their
// notifications waits no longer.
func (t *callbacks) end(handles ...uint64) {
	t.mu.Lock()
	var ended []*callback
	if len(handles) == 0 {
		for h := range t.open {
			handles = append(handles, h)
		}
	}
	for _, h := range handles {
		if c := t.open[h]; c != nil {
			ended = append(ended, c)
			delete(t.open, h)
		}
	}
	t.mu.Unlock()
	for _, c := range ended {
		c.cancel()
		close(c.ended)
	}
}

// registerCallback takes a service callback.
func (s *Server) registerCallback(ctx context.Context, _ request) reply {
	c := &callback{news: make(chan struct{}, 1), ended: make(chan struct{})}
	err := s.pass(ctx)
	if err == nil {
		c.cancel, err = s.hns.OnNotification(c.hear)
	}
	if err != nil {
		code, _ := codeOf(err)
		return reply{code: code}
	}
	p := s.open(kindCallback, "")
	s.callbacks.add(p.handle, c)
	return p
}

// unregisterCallback ends a callback even where HNS has forgotten its handle: what waits for
// notifications is no part of HNS.
func (s *Server) unregisterCallback(ctx context.Context, r request) reply {
	s.callbacks.end(r.handle)
	return s.closer(kindCallback)(ctx, r)
}

// waitForNotification returns the kind of the next notification in place of a handle, 0
// while there is none. What HNS passes as data is not known [?], so it is left out.
func (s *Server) waitForNotification(ctx context.Context, r request) reply {
	c := s.callbacks.get(r.handle)
	if c == nil {
		return reply{code: resultInvalidHandle}
	}
	n, _ := c.next(ctx)
	return reply{handle: uint64(n.Kind)}
}
