// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/app"
	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
)

// User returns the ServiceAccount of deploy/rbac.yaml, with which hnsproxy runs.
func User() string { return controlplane.ServiceAccount("kube-system", "hnsproxy") }

// Proxy is a hnsproxy that was started: in this process, or hnsproxy.exe under Wine.
type Proxy struct {
	instance
	// Log is what it has logged.
	Log *Log

	tb    testing.TB
	ended sync.Once
}

// instance is one way to run hnsproxy. Its methods may be called from several goroutines.
type instance interface {
	// Synced tells whether the first lists of all kinds were read, so that HNS is being written.
	Synced() bool
	// Stopping tells whether hnsproxy knows that it is to end.
	Stopping() bool
	// Table is how far the frontends are, for people.
	Table() string

	// idle tells whether hnsproxy has nothing to do right now.
	idle() bool
	// address returns where one of the two servers is, "" when it does not serve yet.
	address(server string) string
	// stop ends hnsproxy in good order, and tells how it ended.
	stop() error
	// kill ends it as a crash does.
	kill() error
	// leaks tells what it has left open in HNS, though nothing is on its way.
	leaks() error
}

// StartProxy starts hnsproxy on World.Node with the options of kube-proxy's defaults. It returns at once. The test's end stops
// it. One at a time may run.
func (w *World) StartProxy() *Proxy {
	w.tb.Helper()
	p := &Proxy{tb: w.tb}
	if w.setup.Exe == nil {
		p.instance, p.Log = w.startHere()
	} else {
		p.instance, p.Log = w.startExe()
	}
	w.tb.Cleanup(func() { p.end(p.leaks, p.stop) })
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
	if w.setup.SyncPeriod > 0 {
		o.SyncPeriod = w.setup.SyncPeriod
	}
	if w.setup.Overlay {
		o.SourceVIP = SourceVIP
	}
	if w.setup.Options != nil {
		w.setup.Options(o)
	}
	return o
}

// Stop ends hnsproxy in good order and returns when it has ended. Stopping one that has ended does nothing.
func (p *Proxy) Stop() {
	p.tb.Helper()
	p.end(p.stop)
}

// Kill ends hnsproxy as a crash does, whatever it is at, and returns when it is gone. Calls that HNS has got it carries out all
// the same, as Windows does. Only hnsproxy.exe can be killed.
func (p *Proxy) Kill() {
	p.tb.Helper()
	p.end(p.kill)
}

// end does what ends hnsproxy, once.
func (p *Proxy) end(steps ...func() error) {
	p.tb.Helper()
	p.ended.Do(func() {
		for _, step := range steps {
			if err := step(); err != nil {
				p.tb.Errorf("hnsproxy ended with an error: %v\n%s", err, p.Log.Tail(20))
			}
		}
	})
}

// Get asks one of hnsproxy's two servers, "healthz" or "metrics".
func (p *Proxy) Get(server, path string) (code int, body string) {
	p.tb.Helper()
	code, body, err := Get("http://" + p.address(server) + path)
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
