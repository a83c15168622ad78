// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"k8s.io/klog/v2"
)

// Times of a server.
const (
	// retryPeriod is how long kube-proxy waits before it tries a taken address again.
	retryPeriod = 5 * time.Second
	// drainPeriod is how long requests may take to end once the server has to stop.
	drainPeriod = 3 * time.Second
	// readPeriod is how long a client may take to send its whole request.
	readPeriod = 10 * time.Second
	// writePeriod is how long the answer may take, and its client to read it. A profile
	// takes the time that was asked for besides; net/http/pprof sees to that.
	writePeriod = 30 * time.Second
	// idlePeriod is how long a connection may wait for its next request: more than most
	// probers and scrapers pause, less than an attacker would like.
	idlePeriod = 20 * time.Second
)

// Sizes of a server.
const (
	// maxHead bounds the head of a request. Probes send little, scrapers a token.
	maxHead = 16 << 10
	// maxBody bounds the body of a request. No page needs one but those of --profiling, which
	// take a number, or a list of addresses.
	maxBody = 64 << 10
	// maxServerConns is how many connections a Server holds at once.
	maxServerConns = 128
	// maxCheckConns is how many connections all health-check node ports hold together: there
	// may be hundreds of ports.
	maxCheckConns = 1024
)

// Server is one port that answers HTTP.
type Server struct {
	// Name stands in messages: "healthz", "metrics".
	Name string
	// Addr is "ip:port"; empty serves nothing, port 0 takes a free one.
	Addr    string
	Handler http.Handler
	// TLS serves HTTPS; nil serves HTTP.
	TLS *tls.Config
	// HardFail makes a failure the end (--bind-address-hard-fail).
	HardFail bool
	// Listening hears of the address whenever the port is open; nil for nobody.
	Listening func(net.Addr)
	// Failed hears of each failure, before another try; nil for nobody.
	Failed func(error)
	// Network may be nil for that of the machine.
	Network Network
}

// Serve answers until ctx ends, then stops within drainPeriod and returns nil. Without an
// address it returns at once.
//
// When it cannot listen, or a running server breaks, it says so in the log and tries again
// after 5 s, since the address may be held by the process that is being replaced. With
// HardFail it returns that error instead.
func (s Server) Serve(ctx context.Context) error {
	if s.Addr == "" {
		return nil
	}
	for {
		err := s.serveOnce(ctx)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("serve %s on %s: %w", s.Name, s.Addr, err)
		if s.Failed != nil {
			s.Failed(err)
		}
		if s.HardFail {
			return err
		}
		klog.FromContext(ctx).Error(err, "Server failed; retrying", "server", s.Name, "after", retryPeriod)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryPeriod):
		}
	}
}

// serveOnce listens and serves until ctx ends, which is no error, or something breaks.
func (s Server) serveOnce(ctx context.Context) error {
	network := s.Network
	if network == nil {
		network = hostNetwork{}
	}
	listener, err := network.Listen(ctx, "tcp", s.Addr)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return explainListenError(err, s.Addr)
	}
	if s.Listening != nil {
		s.Listening(listener.Addr())
	}
	if s.TLS != nil {
		listener = tls.NewListener(listener, s.TLS)
	}
	server := newHTTPServer(ctx, s.Handler, newConnLimit(maxServerConns))
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		shutdown(server)
	})
	err = server.Serve(listener)
	if !stop() { // ctx ended: the answers under way get their time.
		<-stopped
		return nil
	}
	_ = server.Close() // Accepting broke; its error is the one that counts.
	return err
}

// newHTTPServer makes the server of one port. All ports of the program are made here, and
// all are open to whoever reaches the node, so that no client may hold a connection, or a
// part of the memory, for as long as it likes. Requests in progress outlive ctx.
func newHTTPServer(ctx context.Context, h http.Handler, limit *connLimit) *http.Server {
	return &http.Server{
		Handler:           http.MaxBytesHandler(h, maxBody),
		ReadHeaderTimeout: readPeriod,
		ReadTimeout:       readPeriod,
		WriteTimeout:      writePeriod,
		IdleTimeout:       idlePeriod,
		MaxHeaderBytes:    maxHead,
		ConnState:         limit.onStateChange,
		// What a probe or a scrape does wrong is not worth an error in the log.
		ErrorLog:    klog.NewStandardLogger("INFO"),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
}

// shutdown lets running requests end, but not forever.
func shutdown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drainPeriod)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close() // Whatever is left now is cut off.
	}
}
