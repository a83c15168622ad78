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

// connLimit limits the open connections of one port, or of several that share it. When there are
// too many, the connection that has been idle for longest is closed.
//
// A limit that stops accepting would help an attacker: whoever holds all connections keeps out the
// kubelet, which then restarts the program, and after each timeout can reconnect before the kubelet
// does. With this limit the newest connection is always served, and a probe takes a millisecond.
type connLimit struct {
	max int

	mu sync.Mutex
	// conns are the open connections, the most recently active at the end.
	conns    *list.List
	elements map[net.Conn]*list.Element
}

func newConnLimit(most int) *connLimit {
	return &connLimit{max: most, conns: list.New(), elements: map[net.Conn]*list.Element{}}
}

// onStateChange is an http.Server.ConnState callback.
func (l *connLimit) onStateChange(c net.Conn, s http.ConnState) {
	if excess := l.update(c, s); excess != nil {
		if secure, ok := excess.(*tls.Conn); ok {
			excess = secure.NetConn() // Skip the TLS close notification, since a client could delay it.
		}
		_ = excess.Close() // It is closed either way, and its server notices.
	}
}

// update records a state change and returns the connection to close, or nil.
func (l *connLimit) update(c net.Conn, s http.ConnState) (excess net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e := l.elements[c]; {
	case s == http.StateNew:
		l.elements[c] = l.conns.PushBack(c)
	case e == nil:
		// The limit has closed it already.
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
