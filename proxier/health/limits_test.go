// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/proxier/health"
)

// port is one that is open, with its test.
type port struct {
	*testing.T
	network *proxiertest.Network
	at      netip.AddrPort
}

// openPorts runs a test in a bubble against each kind of port that the program opens.
func openPorts(t *testing.T, test func(port)) {
	t.Helper()
	t.Run("server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n, at := proxiertest.NewNetwork(), netip.MustParseAddrPort("10.0.0.4:10256")
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- health.Server{Name: "healthz", Addr: at.String(), Handler: hello(), Network: n}.Serve(ctx)
			}()
			synctest.Wait()
			defer func() {
				stop()
				if err := <-ended; err != nil {
					t.Errorf("ended with %v", err)
				}
			}()
			test(port{t, n, at})
		})
	})
	t.Run("health-check node port", func(t *testing.T) {
		bubble(t, asIs, func(c *checked) {
			c.service("web", 30100, "10.96.0.1")
			c.endpoints("web", 1, 0)
			test(port{c.T, c.network, netip.MustParseAddrPort("10.0.0.4:30100")})
		})
	})
}

func (p port) dial() net.Conn {
	p.Helper()
	c, err := p.network.Dial(p.Context(), p.at)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = c.Close() })
	return c
}

// drip sends text, one byte a second, for as long as the other side takes it.
func drip(c net.Conn, text string) {
	for i := range len(text) {
		if _, err := c.Write([]byte{text[i]}); err != nil {
			return
		}
		<-time.After(time.Second)
	}
}

// send is for clients whose server may hang up at any time.
func send(c net.Conn, text string) { _, _ = io.WriteString(c, text) }

const request = "GET / HTTP/1.1\r\nHost: node\r\n"

// TestConnectionsEnd: no client holds a connection for as long as it likes.
func TestConnectionsEnd(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(net.Conn)
		// read tells whether the client takes what the server sends.
		read bool
		most time.Duration
	}{
		{"says nothing", func(net.Conn) {}, true, 10 * time.Second},
		{"sends its head slowly", func(c net.Conn) { drip(c, request+strings.Repeat("X-A: b\r\n", 99)) }, true, 10 * time.Second},
		{"sends its body slowly", func(c net.Conn) {
			send(c, request+"Content-Length: 1000\r\n\r\n")
			drip(c, strings.Repeat("x", 1000))
		}, true, 10 * time.Second},
		{"promises a body", func(c net.Conn) { send(c, request+"Content-Length: 1000\r\n\r\n") }, true, 10 * time.Second},
		{"stays after the answer", func(c net.Conn) { send(c, request+"\r\n") }, true, 20 * time.Second},
		{"does not read the answer", func(c net.Conn) { send(c, request+"\r\n") }, false, 31 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			openPorts(t, func(p port) {
				c := p.dial()
				begin := time.Now()
				var client sync.WaitGroup
				defer client.Wait()
				client.Go(func() { tc.do(c) })
				if !tc.read {
					<-time.After(tc.most)
				}
				_ = c.SetReadDeadline(begin.Add(time.Hour)) // fails on one that is closed, as it should be
				_, _ = io.Copy(io.Discard, c)               // until either end is closed
				if took := time.Since(begin); took > tc.most {
					p.Errorf("open for %v, want %v at most", took, tc.most)
				}
			})
		})
	}
}

// TestLongHead: what a client sends does not fill the memory.
func TestLongHead(t *testing.T) {
	openPorts(t, func(p port) {
		c := p.dial()
		go send(c, request+"X-Long: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			p.Fatal(err)
		}
		if _ = response.Body.Close(); response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			p.Errorf("status %d", response.StatusCode)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		_, _ = io.Copy(io.Discard, c) // the server hangs up
	})
}

// TestConnectionsAreLimited: however many connections somebody holds, the next probe is
// answered at once, and there are not more of them than the limit.
func TestConnectionsAreLimited(t *testing.T) {
	openPorts(t, func(p port) {
		const held = 1500
		conns := make([]net.Conn, held)
		for i := range conns {
			conns[i] = p.dial()
			go send(conns[i], request+"Content-Length: 9\r\n\r\n") // and never the body
		}
		begin := time.Now()
		if _, _, err := p.network.Get(p.Context(), p.at); err != nil {
			p.Errorf("the probe fails: %v", err)
		}
		if took := time.Since(begin); took > 0 {
			p.Errorf("the probe took %v", took)
		}
		open := 0
		for _, c := range conns {
			_ = c.SetReadDeadline(time.Now().Add(time.Nanosecond))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				open++
			}
		}
		if open == 0 || open > 1024 {
			p.Errorf("%d of %d connections are open", open, held)
		}
	})
}
