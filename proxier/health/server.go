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

// Timeouts of a server.
const (
	// retryPeriod is the time between attempts to listen, as in kube-proxy.
	retryPeriod = 5 * time.Second
	// drainPeriod limits how long requests may continue after the server was stopped.
	drainPeriod = 3 * time.Second
	// readPeriod limits the time to receive a request.
	readPeriod = 10 * time.Second
	// writePeriod limits the time to send the response. net/http/pprof extends it by the requested
	// duration of a profile.
	writePeriod = 30 * time.Second
	// idlePeriod limits how long a connection may wait for its next request: longer than the
	// interval of most probes and scrapers, but short for an attacker.
	idlePeriod = 20 * time.Second
)

// Sizes of a server.
const (
	// maxHead limits the request header. Probes send little, scrapers a token.
	maxHead = 16 << 10
	// maxBody limits the request body. Only the pages of --profiling use one, for a number or a
	// list of addresses.
	maxBody = 64 << 10
	// maxServerConns limits the connections of a Server.
	maxServerConns = 128
	// maxCheckConns limits the connections of all health check node ports together, of which there
	// may be hundreds.
	maxCheckConns = 1024
)

// Server is an HTTP server on one port.
type Server struct {
	// Name is used in messages, such as "healthz" or "metrics".
	Name string
	// Addr is "ip:port"; if empty, nothing is served; port 0 uses a free port.
	Addr    string
	Handler http.Handler
	// TLS serves HTTPS; nil serves HTTP.
	TLS *tls.Config
	// HardFail makes Serve return on failure instead of retrying (--bind-address-hard-fail).
	HardFail bool
	// Listening receives the address whenever the port was opened; may be nil.
	Listening func(net.Addr)
	// Failed receives each failure before a retry; may be nil.
	Failed func(error)
	// Network may be nil for the network of this host.
	Network Network
}

// Serve serves until ctx ends, then stops within drainPeriod and returns nil. Without an address it
// returns at once.
//
// If it cannot listen, or the server fails, it logs the error and retries after 5 s, since the
// process that is being replaced may still hold the address. With HardFail it returns the error
// instead.
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

// serveOnce serves until ctx ends, in which case it returns nil, or the server fails.
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
	if !stop() { // ctx ended; wait for in-flight requests.
		<-stopped
		return nil
	}
	_ = server.Close() // Serve failed; its error is returned.
	return err
}

// newHTTPServer returns the HTTP server of one port. All servers of the program are created here.
// They are open to everyone who can reach the node, so no client may hold a connection or memory
// without limit. Requests in flight outlive ctx.
func newHTTPServer(ctx context.Context, h http.Handler, limit *connLimit) *http.Server {
	return &http.Server{
		Handler:           http.MaxBytesHandler(h, maxBody),
		ReadHeaderTimeout: readPeriod,
		ReadTimeout:       readPeriod,
		WriteTimeout:      writePeriod,
		IdleTimeout:       idlePeriod,
		MaxHeaderBytes:    maxHead,
		ConnState:         limit.onStateChange,
		// Client errors are not worth an error in the log.
		ErrorLog:    klog.NewStandardLogger("INFO"),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
}

// shutdown waits for in-flight requests for at most drainPeriod.
func shutdown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drainPeriod)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close() // Abort the remaining requests.
	}
}
