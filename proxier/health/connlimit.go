// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connLimit bounds how many connections are open at once, on one port or on several that
// share it. When there are too many, the one on which nothing has happened for the longest
// is closed.
//
// The usual limit, which accepts no more until another connection has ended, would help an
// attacker: who holds all of them keeps the kubelet out, which then restarts the program,
// and each time-out only gives him a moment to connect again before the kubelet does. Here
// the newest connection is always served, and a probe takes a millisecond.
type connLimit struct {
	max int

	mu sync.Mutex
	// conns are the open connections, the one that changed last at the end.
	conns    *list.List
	elements map[net.Conn]*list.Element
}

func newConnLimit(most int) *connLimit {
	return &connLimit{max: most, conns: list.New(), elements: map[net.Conn]*list.Element{}}
}

// onStateChange hears of each connection that changes its state, as http.Server.ConnState does.
func (l *connLimit) onStateChange(c net.Conn, s http.ConnState) {
	if excess := l.update(c, s); excess != nil {
		if secure, ok := excess.(*tls.Conn); ok {
			excess = secure.NetConn() // Without a farewell, for which a client may let us wait.
		}
		_ = excess.Close() // It is gone in any case; its server notices.
	}
}

// update keeps the books and returns the connection that is one too many, or nil.
func (l *connLimit) update(c net.Conn, s http.ConnState) (excess net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e := l.elements[c]; {
	case s == http.StateNew:
		l.elements[c] = l.conns.PushBack(c)
	case e == nil:
		// It was closed here a moment ago.
	case s == http.StateClosed || s == http.StateHijacked:
		l.forget(e)
	default:
		l.conns.MoveToBack(e)
	}
	if l.conns.Len() <= l.max {
		return nil
	}
	return l.forget(l.conns.Front())
}

func (l *connLimit) forget(e *list.Element) net.Conn {
	c, _ := l.conns.Remove(e).(net.Conn)
	delete(l.elements, c)
	return c
}
