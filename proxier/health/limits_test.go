// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
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
			test(serveOn(t, health.Server{Name: "healthz", Handler: hello()}))
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

// serveOn serves on a network of its own until the test ends.
func serveOn(t *testing.T, s health.Server) port {
	t.Helper()
	n, at := proxiertest.NewNetwork(), netip.MustParseAddrPort("10.0.0.4:10256")
	s.Addr, s.Network = at.String(), n
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	synctest.Wait()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
	return port{t, n, at}
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

// TestLongBody: no page reads more of a body than its size allows.
func TestLongBody(t *testing.T) {
	for _, tt := range []struct {
		size int
		want string
	}{{64 << 10, "read 65536: <nil>"}, {64<<10 + 1, "read 65536: http: request body too large"}} {
		synctest.Test(t, func(t *testing.T) {
			reader := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				_, _ = fmt.Fprintf(w, "read %d: %v", len(body), err)
			})
			p := serveOn(t, health.Server{Name: "metrics", Handler: reader})
			c := p.dial()
			go send(c, fmt.Sprintf("%sContent-Length: %d\r\nConnection: close\r\n\r\n%s", request, tt.size, strings.Repeat("x", tt.size)))
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil || string(body) != tt.want {
				t.Errorf("%d bytes: %q, %v, want %q", tt.size, body, err, tt.want)
			}
			_ = response.Body.Close()
		})
	}
}

// TestTLSConnections: with TLS a client that never greets, or that is one too many, gets no
// more than without.
func TestTLSConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		certificate, roots := certificate(t)
		p := serveOn(t, health.Server{Name: "metrics", Handler: hello(),
			// Tickets would be written to clients that do not read, before their handshake counts as done.
			TLS: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}})
		begin := time.Now()
		silent := p.dial()
		_, _ = io.Copy(io.Discard, silent)
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("a client that says nothing is served for %v", took)
		}
		const held = 300
		conns := make([]*tls.Conn, held)
		for i := range conns {
			conns[i] = tls.Client(p.dial(), &tls.Config{RootCAs: roots, ServerName: "node"})
			if err := conns[i].HandshakeContext(t.Context()); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
			send(conns[i], request+"Content-Length: 9\r\n\r\n") // and never the body
		}
		begin = time.Now()
		c := tls.Client(p.dial(), &tls.Config{RootCAs: roots, ServerName: "node"})
		send(c, request+"\r\n")
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _ = response.Body.Close(); response.StatusCode != http.StatusOK || time.Since(begin) > 0 {
			t.Errorf("status %d after %v", response.StatusCode, time.Since(begin))
		}
	})
}

// certificate is one for "node", and who vouches for it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"node"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
