// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/app"
	"github.com/hnsproxy/hnsproxy/proxier"
)

// here is a hnsproxy in this process.
type here struct {
	ctx    context.Context // ends when hnsproxy is to end
	cancel context.CancelFunc
	ended  chan error

	mu      sync.Mutex
	proxier *proxier.Proxier
	addrs   map[string]string
}

func (w *World) startHere() (*here, *Log) {
	w.tb.Helper()
	o := w.options()
	w.Must(o.Complete(app.Host{Getenv: os.Getenv, Hostname: os.Hostname}))
	log := &logWriter{}
	logger := textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(log), textlogger.Verbosity(2)))
	h := &here{ended: make(chan error, 1), addrs: map[string]string{}}
	h.ctx, h.cancel = context.WithCancel(klog.NewContext(context.Background(), logger))
	go func() {
		h.ended <- app.Run(h.ctx, *o, app.Deps{Driver: w.HNS, Out: io.Discard, OnStart: h.started, OnListen: h.listening})
	}()
	return h, &Log{lines: log.all}
}

func (h *here) started(s app.Started) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.proxier = s.Proxier
}

func (h *here) listening(name string, addr net.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addrs[name] = addr.String()
}

func (h *here) stop() error {
	h.cancel()
	return <-h.ended
}

func (h *here) kill() error {
	return errors.New("it runs in the process of the test and cannot be killed")
}

func (h *here) leaks() error { return nil }

func (h *here) Stopping() bool { return h.ctx.Err() != nil }

func (h *here) address(server string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.addrs[server]
}

// running returns the proxy proper, nil before the first lists are there.
func (h *here) running() *proxier.Proxier {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.proxier
}

func (h *here) Synced() bool { return h.running() != nil }

func (h *here) idle() bool {
	r := h.running()
	return r != nil && r.Idle()
}

func (h *here) Table() string {
	r := h.running()
	if r == nil {
		return "(not synced)"
	}
	var lines []string
	for _, s := range r.Table().Rows() {
		f := s.Frontend
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s %s", f.Service, f.Kind, f.Key, s.State, s.Reason, s.Message))
	}
	return strings.Join(lines, "\n")
}
