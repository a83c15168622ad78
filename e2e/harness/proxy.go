// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/app"
	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/proxier"
)

// User returns the ServiceAccount of deploy/rbac.yaml, with which hnsproxy runs.
func User() string { return controlplane.ServiceAccount("kube-system", "hnsproxy") }

// Proxy is a hnsproxy that runs in this process.
type Proxy struct {
	// Log is what it has logged.
	Log *Log
	// Stop ends it in good order and returns when it has ended. Stopping twice does nothing.
	Stop func()

	tb      testing.TB
	ctx     context.Context // ends when hnsproxy is to end
	mu      sync.Mutex
	proxier *proxier.Proxier
	addrs   map[string]string
}

// StartProxy starts hnsproxy on World.Node with the options of kube-proxy's defaults, changed as told. It returns at once.
// The test's end stops it. One at a time may run.
func (w *World) StartProxy(changes ...func(*app.Options)) *Proxy {
	w.tb.Helper()
	p := &Proxy{Log: &Log{}, tb: w.tb, addrs: map[string]string{}}
	o := w.options()
	for _, change := range changes {
		change(o)
	}
	w.Must(o.Complete(app.Host{Getenv: os.Getenv, Hostname: os.Hostname}))
	logger := textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(p.Log), textlogger.Verbosity(2)))
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), logger))
	p.ctx = ctx
	ended := make(chan error, 1)
	go func() {
		ended <- app.Run(ctx, *o, app.Deps{Driver: w.HNS, Out: io.Discard, OnStart: p.started, OnListen: p.listening})
	}()
	p.Stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			p.tb.Errorf("hnsproxy ended with an error: %v\n%s", err, p.Log.Tail(20))
		}
	})
	w.tb.Cleanup(p.Stop)
	w.proxy = p
	return p
}

func (w *World) options() *app.Options {
	w.tb.Helper()
	kubeconfig, err := w.Plane.Kubeconfig(w.tb.Context(), User())
	w.Must(err)
	o := app.NewOptions()
	o.Kubeconfig, o.Hostname, o.Network = kubeconfig, w.Node, networkName
	o.HealthzBindAddress, o.MetricsBindAddress, o.BindAddressHardFail = "127.0.0.1:0", "127.0.0.1:0", true
	o.EnableDSR = w.setup.DSR
	if w.setup.Overlay {
		o.SourceVIP = SourceVIP
	}
	return o
}

func (p *Proxy) started(s app.Started) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.proxier = s.Proxier
}

func (p *Proxy) listening(name string, addr net.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addrs[name] = addr.String()
}

// Stopping tells whether Stop was called.
func (p *Proxy) Stopping() bool { return p.ctx.Err() != nil }

// running returns the proxy proper, nil before the first lists are there.
func (p *Proxy) running() *proxier.Proxier {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proxier
}

// Synced tells whether the first lists of all kinds were read, so that HNS is being written.
func (p *Proxy) Synced() bool { return p.running() != nil }

// idle tells whether hnsproxy has nothing to do right now.
func (p *Proxy) idle() bool {
	r := p.running()
	return r != nil && r.Idle()
}

// Table is the status of all frontends for people.
func (p *Proxy) Table() string {
	r := p.running()
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

// Get asks one of hnsproxy's two servers, "healthz" or "metrics".
func (p *Proxy) Get(server, path string) (code int, body string) {
	p.tb.Helper()
	p.mu.Lock()
	addr := p.addrs[server]
	p.mu.Unlock()
	code, body, err := Get("http://" + addr + path)
	if err != nil {
		p.tb.Fatal(err)
	}
	return code, body
}

// Get asks a server.
func Get(url string) (code int, body string, err error) {
	response, err := http.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}
