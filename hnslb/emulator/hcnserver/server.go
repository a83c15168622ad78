// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcnserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// Server serves one emulator. All methods may be called from several goroutines.
type Server struct {
	hns       *emulator.Emulator
	kinds     []*kind
	functions map[string]function
	handles   handles
	callbacks callbacks

	mu    sync.Mutex // guards what follows
	calls map[string]int
}

// function is one exported function of a DLL.
type function func(ctx context.Context, r request) reply

// Malformed is the name under which Calls counts requests that are no call.
const Malformed = "malformed request"

// New returns a server of e that has no handles open.
func New(e *emulator.Emulator) *Server {
	s := &Server{hns: e, calls: map[string]int{}}
	s.kinds = []*kind{s.networks(), s.endpoints(), s.loadBalancers()}
	s.functions = map[string]function{
		"HNSCall":                      s.v1Call,
		"HcnRegisterServiceCallback":   s.registerCallback,
		"HcnUnregisterServiceCallback": s.unregisterCallback,
		nextNotification:               s.waitForNotification,
	}
	for _, k := range s.kinds {
		maps.Copy(s.functions, s.functionsOf(k))
	}
	return s
}

// Serve answers the calls of every client that l accepts, until ctx ends; then it closes l
// and all connections, and returns nil. Any other error of l ends it, too.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() { _ = l.Close() }) // Accept tells
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close() // nobody has used it yet
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("hcnserver: accept on %s: %w", l.Addr(), err)
		}
		clients.Go(func() { s.serve(ctx, conn) })
	}
}

// serve answers the calls of one connection, one after the other. A call that has arrived
// is carried out even if its client dies, as in HNS.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends the read below
	defer stop()
	defer conn.Close() //nolint:errcheck // nothing is to be said to the client any more
	r := bufio.NewReader(conn)
	for {
		req, err := readRequest(r)
		if err != nil {
			if errors.Is(err, errFrame) {
				s.count(Malformed)
			}
			return
		}
		if _, err := conn.Write(s.call(ctx, req).encode()); err != nil {
			return
		}
	}
}

// call carries out one call.
func (s *Server) call(ctx context.Context, r request) reply {
	f, ok := s.functions[r.function]
	if !ok {
		s.count(Malformed)
		return failed(refuse(hnslb.ResultNotImplemented, "%s", r.function))
	}
	if r.function != nextNotification {
		s.count(countName(r))
	}
	p := f(ctx, r)
	if int32(p.code) < 0 {
		s.handles.fail(r.handle)
	}
	return p
}

func (s *Server) count(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[name]++
}

// Calls returns how often each function was called, failed calls included. V1 calls are
// named by method and path: "HNSCall GET /endpoints/", "HNSCall DELETE /endpoints/{id}".
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// ResetCalls sets Calls to nothing.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.calls)
}

// Handles counts the open handles.
func (s *Server) Handles() Handles { return s.handles.count(s.hns.Stops()) }

// DropHandles closes all handles, as Windows does when the process ends that has them.
func (s *Server) DropHandles() {
	s.handles.drop()
	s.callbacks.end()
}

// open makes a handle of an object.
func (s *Server) open(kind string, id hnslb.ID) reply {
	return reply{handle: s.handles.add(handle{kind: kind, id: id, stops: s.hns.Stops()})}
}

// object returns the object of a handle. The service knows its handles, so while it is
// away the answer is that, and one from before is invalid afterwards.
func (s *Server) object(ctx context.Context, r request, kind string) (hnslb.ID, error) {
	id, err := s.handles.get(r.handle, kind, s.hns.Stops())
	if err != nil {
		if away := s.pass(ctx); away != nil {
			return "", away
		}
	}
	return id, err
}

// pass takes a call that looks at nothing through HNS: it takes its time, and fails while
// the service is away.
func (s *Server) pass(ctx context.Context) error {
	return s.hns.Look(ctx, "", func(emulator.Objects) {})
}

// closer returns the function that closes a handle. It comes without a record [A:
// The C API].
func (s *Server) closer(kind string) function {
	return func(ctx context.Context, r request) reply {
		err := s.pass(ctx)
		if err == nil {
			_, err = s.object(ctx, r, kind)
		}
		if err != nil {
			code, _ := codeOf(err)
			return reply{code: code}
		}
		s.handles.close(r.handle)
		return reply{}
	}
}
