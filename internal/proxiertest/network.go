// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxiertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"syscall"
)

// Network is the network of one machine in memory, for programs in a bubble of
// testing/synctest: there a real socket would count as work that never ends. It is safe for
// concurrent use.
type Network struct {
	mu        sync.Mutex
	addrs     []net.Addr
	err       error
	taken     map[netip.AddrPort]bool
	listeners map[netip.AddrPort]*listener
}

// NewNetwork returns a machine with these addresses.
func NewNetwork(addrs ...netip.Prefix) *Network {
	n := &Network{taken: map[netip.AddrPort]bool{}, listeners: map[netip.AddrPort]*listener{}}
	n.SetAddrs(addrs...)
	return n
}

// SetAddrs changes the addresses of the machine.
func (n *Network) SetAddrs(addrs ...netip.Prefix) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addrs = nil
	for _, p := range addrs {
		n.addrs = append(n.addrs, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
}

// FailAddrs makes InterfaceAddrs fail; nil ends it.
func (n *Network) FailAddrs(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

// Take lets another program listen on a port, or end that.
func (n *Network) Take(at netip.AddrPort, taken bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taken[at] = taken
}

// Break ends the listener on a port, as a reset of the network does.
func (n *Network) Break(at netip.AddrPort) {
	n.mu.Lock()
	l := n.listeners[at]
	n.mu.Unlock()
	if l != nil {
		_ = l.Close()
	}
}

// Open lists the ports that are open, in order.
func (n *Network) Open() []netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []netip.AddrPort
	for at := range n.listeners {
		out = append(out, at)
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return out
}

// InterfaceAddrs lists the addresses of the machine.
func (n *Network) InterfaceAddrs() ([]net.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.addrs), n.err
}

// Listen opens a port on the machine; network is "tcp4", "tcp6", or "tcp" for either.
func (n *Network) Listen(_ context.Context, network, address string) (net.Listener, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if is4 := network == "tcp4"; network != "tcp" && at.Addr().Is4() != is4 {
		return nil, fmt.Errorf("listen %s %s: another family", network, address)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.taken[at] || n.listeners[at] != nil {
		return nil, fmt.Errorf("listen %s %s: %w", network, address, syscall.EADDRINUSE)
	}
	l := &listener{network: n, at: at, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[at] = l
	return l, nil
}

// Dial connects to a port: to who listens on the address, or else on all addresses.
func (n *Network) Dial(ctx context.Context, at netip.AddrPort) (net.Conn, error) {
	all := netip.IPv4Unspecified()
	if at.Addr().Is6() {
		all = netip.IPv6Unspecified()
	}
	n.mu.Lock()
	l := n.listeners[at]
	if l == nil {
		l = n.listeners[netip.AddrPortFrom(all, at.Port())]
	}
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("dial %s: %w", at, syscall.ECONNREFUSED)
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, fmt.Errorf("dial %s: %w", at, syscall.ECONNREFUSED)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Get asks a port of the machine for "/" and returns the answer with its body read.
func (n *Network) Get(ctx context.Context, at netip.AddrPort) (*http.Response, string, error) {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return n.Dial(ctx, at) },
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.String()+"/", nil)
	if err != nil {
		return nil, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(response.Body)
	return response, string(body), errors.Join(err, response.Body.Close())
}

// listener is one open port.
type listener struct {
	network *Network
	at      netip.AddrPort
	conns   chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

// Accept is part of net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close is part of net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.network.mu.Lock()
		defer l.network.mu.Unlock()
		delete(l.network.listeners, l.at)
	})
	return nil
}

// Addr is part of net.Listener.
func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }
