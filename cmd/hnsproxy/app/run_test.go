// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/emulated"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/table"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/proxier"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	"k8s.io/utils/clock"
)

const exampleDir = "../../../examples/cluster"

// buffer is what a running program writes to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// running is a program under test.
type running struct {
	Started
	// Emulator is the HNS of --hns-driver=emulator, nil with another one.
	Emulator *emulator.Emulator
	t        *testing.T
	out      *buffer
	mu       sync.Mutex
	addr     map[string]string
	stop     func()
}

// start runs the program with the example's node until the test ends or stop is called.
func start(t *testing.T, change func(*Options, *Deps)) *running {
	t.Helper()
	return startWith(t, ktesting.NewLogger(t, ktesting.NewConfig(ktesting.BufferLogs(true))), change)
}

// startWith is start with a logger of the caller's.
func startWith(t *testing.T, logger klog.Logger, change func(*Options, *Deps)) *running {
	t.Helper()
	o := NewOptions()
	o.HNS, o.Hostname = Emulator, "win-node-1"
	o.HealthzBindAddress, o.MetricsBindAddress = "127.0.0.1:0", "127.0.0.1:0"
	started, ended := make(chan Started, 1), make(chan error, 1)
	r := &running{t: t, out: &buffer{}, addr: map[string]string{}}
	d := Deps{
		Out: r.out,
		Emulate: func(o *Options, logger klog.Logger, c clock.WithTicker) (Emulation, error) {
			h, err := emulated.New(o, logger, c)
			if err == nil {
				r.Emulator = h.Emulator()
			}
			return h, err
		},
		OnStart: func(s Started) { started <- s },
		OnListen: func(name string, addr net.Addr) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.addr[name] = addr.String()
		},
	}
	change(o, &d)
	if err := o.Complete(Host{Getenv: func(string) string { return "" }}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(klog.NewContext(t.Context(), logger))
	go func() { ended <- Run(ctx, *o, d) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want a clean stop", err)
		}
	})
	t.Cleanup(r.stop)
	select {
	case r.Started = <-started:
	case err := <-ended:
		ended <- err
		t.Fatalf("Run ended at once: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the first lists did not arrive within a minute")
	}
	return r
}

// eventually waits for files, sockets and goroutines to come to something.
func (r *running) eventually(what string, done func() bool) {
	r.t.Helper()
	err := wait.PollUntilContextTimeout(r.t.Context(), 10*time.Millisecond, time.Minute, true,
		func(context.Context) (bool, error) { return done(), nil })
	if err != nil {
		r.t.Fatalf("%s: %v\n%s\n%s", what, err, strings.Join(r.frontends(), "\n"), r.out)
	}
}

// frontends are the table in short: "default/iis nodeport node:30080 programmed 10.244.1.30* :80".
func (r *running) frontends() []string {
	var out []string
	for _, s := range r.Proxier.Table().Rows() {
		f := s.Frontend
		line := fmt.Sprint(f.Service, " ", f.Kind, " ", table.Address(f.Key), "/", f.Key.Protocol, " ", s.State, " ", table.Backends(f))
		if s.Reason != "" {
			line += " " + string(s.Reason)
		}
		out = append(out, line)
	}
	return out
}

// settled waits until nothing is pending and at least one frontend is there.
func (r *running) settled() {
	r.t.Helper()
	r.eventually("settle", func() bool {
		rows := r.Proxier.Table().Rows()
		return len(rows) > 0 && r.Proxier.Idle() &&
			!slices.ContainsFunc(rows, func(s proxier.FrontendStatus) bool { return s.State != proxier.Programmed })
	})
}

func (r *running) get(server, path string) (int, string) {
	r.t.Helper()
	var addr string
	r.eventually("listen", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		addr = r.addr[server]
		return addr != ""
	})
	resp, err := http.Get("http://" + addr + path)
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// example returns a directory with a copy of the example cluster.
func example(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(exampleDir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// edit replaces the first text before in a file of dir by after, in place.
func edit(t *testing.T, dir, file, before, after string) {
	t.Helper()
	path := filepath.Join(dir, file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), before) {
		t.Fatalf("%s has no %q", file, before)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), before, after, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func exampleFrontends() []string {
	return []string{
		"default/iis clusterip 10.96.11.30:80/TCP programmed 10.244.1.30*, 10.244.2.30 :80",
		"default/iis nodeport node:30080/TCP programmed 10.244.1.30* :80",
		"default/kubernetes clusterip 10.96.0.1:443/TCP programmed 10.0.0.10 :6443",
		"default/win-webserver clusterip 10.96.11.20:80/TCP programmed 10.244.1.20*, 10.244.2.20 :80",
		"default/win-webserver nodeport node:4444/TCP programmed 10.244.1.20*, 10.244.2.20 :80",
		"default/win-webserver ingressip 203.0.113.20:80/TCP programmed 10.244.1.20*, 10.244.2.20 :80",
		"kube-system/kube-dns clusterip 10.96.0.10:53/TCP programmed 10.244.0.5, 10.244.0.6 :53",
		"kube-system/kube-dns clusterip 10.96.0.10:53/UDP programmed 10.244.0.5, 10.244.0.6 :53",
		"monitoring/windows-exporter clusterip 10.96.12.40:9182/TCP programmed 10.244.1.40* :9182",
	}
}

// TestExample: the example cluster comes up on an L2Bridge network, an edit of a file
// arrives, a mistake in a file takes nothing away, and a removed file takes its Service
// and its pods with it.
func TestExample(t *testing.T) {
	t.Parallel()
	dir := example(t)
	r := start(t, func(o *Options, _ *Deps) { o.Objects = []string{dir} })
	r.settled()
	if diff := cmp.Diff(exampleFrontends(), r.frontends()); diff != "" {
		t.Errorf("frontends (-want +got):\n%s", diff)
	}

	edit(t, dir, "iis.yaml", "10.244.2.30", "10.244.2.33")
	r.eventually("the edit arrives", func() bool {
		return slices.Contains(r.frontends(), "default/iis clusterip 10.96.11.30:80/TCP programmed 10.244.1.30*, 10.244.2.33 :80")
	})

	edit(t, dir, "iis.yaml", "clusterIP: 10.96.11.30", "clusterIP: 10.96.11")
	edit(t, dir, "kube-dns.yaml", "10.244.0.6", "10.244.0.7")
	r.eventually("the edit beside a mistake arrives", func() bool {
		return slices.Contains(r.frontends(), "kube-system/kube-dns clusterip 10.96.0.10:53/UDP programmed 10.244.0.5, 10.244.0.7 :53")
	})
	if got := r.frontends(); !strings.HasPrefix(got[0], "default/iis clusterip 10.96.11.30:80/TCP programmed") {
		t.Errorf("a mistake in a file took a Service away: %q", got)
	}

	edit(t, dir, "kubernetes.yaml", "kubernetes.io/service-name: kubernetes", "kubernetes.io/service-name: nobody")
	edit(t, dir, "windows-exporter.yaml", "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice", "apiVersion: v1\nkind: ConfigMap")
	r.eventually("slices that moved or went serve no more", func() bool {
		got := r.frontends()
		return slices.Contains(got, "default/kubernetes clusterip 10.96.0.1:443/TCP blocked none NoEndpoints") &&
			slices.Contains(got, "monitoring/windows-exporter clusterip 10.96.12.40:9182/TCP blocked none NoEndpoints")
	})

	if err := os.Remove(filepath.Join(dir, "win-webserver.yaml")); err != nil {
		t.Fatal(err)
	}
	r.eventually("the Service and the pod's endpoint go", func() bool {
		return !strings.Contains(r.Emulator.Dump(), "10.244.1.20") && !strings.Contains(r.Emulator.Dump(), "10.96.11.20")
	})
}

// TestRestart: what one run leaves in the state file the next one adopts (law 7). The network
// is asked for twice: whether it needs a source VIP, and by the proxy.
func TestRestart(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "hns.json")
	run := func() *running {
		return start(t, func(o *Options, _ *Deps) { o.Objects, o.Emulated.State = []string{exampleDir}, state })
	}
	first := run()
	first.settled()
	if n := writesOf(first.Emulator.Counts()); n != 14 {
		t.Errorf("cold start took %d writes, want 5 endpoints and 9 load balancers", n)
	}
	first.stop()

	second := run()
	second.settled()
	want := map[hnslb.Verb]int{hnslb.VerbFeatures: 1, hnslb.VerbNetwork: 2, hnslb.VerbEndpoints: 1, hnslb.VerbLoadBalancers: 1}
	if diff := cmp.Diff(want, second.Emulator.Counts()); diff != "" {
		t.Errorf("HNS calls of a restart (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(first.Emulator.Dump(), second.Emulator.Dump()); diff != "" {
		t.Errorf("HNS before and after the restart differs:\n%s", diff)
	}
}

// TestStateIsSavedOnTheWay: a program that is killed loses little.
func TestStateIsSavedOnTheWay(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "hns.json")
	r := start(t, func(o *Options, _ *Deps) { o.Objects, o.Emulated.State = []string{exampleDir}, state })
	r.settled()
	r.eventually("save the state", func() bool {
		text, err := os.ReadFile(state)
		return err == nil && bytes.Contains(text, []byte("203.0.113.20"))
	})
}

func TestServers(t *testing.T) {
	t.Parallel()
	dir := example(t)
	r := start(t, func(o *Options, _ *Deps) {
		o.Objects, o.Profiling = []string{dir}, true
		o.SourceVIP = "10.244.1.2"
	})
	r.settled()
	for _, tt := range []struct {
		server, path string
		code         int
		body         string
	}{
		{"healthz", "/healthz", 200, `"nodeEligible":true`},
		{"healthz", "/livez", 200, `"healthy":true`},
		{"metrics", "/healthz", 200, "ok"},
		{"metrics", "/proxyMode", 200, "kernelspace"},
		{"metrics", "/metrics", 200, "\nhnsproxy_frontends{state=\"programmed\"} 9\n"},
		{"metrics", "/metrics", 200, "\nhnsproxy_hns_calls_total{result=\"ok\",verb=\"CreateLoadBalancer\"} 9\n"},
		{"metrics", "/metrics", 200, "\nkubeproxy_sync_proxy_rules_service_changes_total 5\n"},
		{"metrics", "/metrics", 200, "\nkubeproxy_sync_proxy_rules_endpoint_changes_total 5\n"},
		{"metrics", "/metrics", 200, "\nkubeproxy_sync_proxy_rules_service_changes_pending 0\n"},
		{"metrics", "/metrics", 200, "\nhnsproxy_no_local_endpoints{ip_family=\"IPv4\",traffic_policy=\"internal\"} 0\n"},
		{"metrics", "/metrics", 200, "\nkubeproxy_proxy_livez_total{code=\"200\"} 1\n"},
		{"metrics", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
	} {
		if code, body := r.get(tt.server, tt.path); code != tt.code || !strings.Contains(body, tt.body) {
			t.Errorf("%s%s: %d without %q:\n%s", tt.server, tt.path, code, tt.body, body)
		}
	}

	// The last pod of this node goes: the policy Local Services have nobody here.
	edit(t, dir, "windows-exporter.yaml", "ready: true", "ready: false")
	edit(t, dir, "iis.yaml", "nodeName: win-node-1", "nodeName: win-node-2")
	edit(t, dir, "iis.yaml", "nodeName: win-node-1", "nodeName: win-node-2")
	r.eventually("count Services without local endpoints", func() bool {
		_, body := r.get("metrics", "/metrics")
		return strings.Contains(body, "hnsproxy_no_local_endpoints{ip_family=\"IPv4\",traffic_policy=\"internal\"} 1\n") &&
			strings.Contains(body, "hnsproxy_no_local_endpoints{ip_family=\"IPv4\",traffic_policy=\"external\"} 1\n")
	})

	// The cluster autoscaler is about to remove the node.
	edit(t, dir, "nodes.yaml", "podCIDRs: [10.244.1.0/24]",
		"podCIDRs: [10.244.1.0/24]\n  taints: [{key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule}]")
	r.eventually("/healthz fails", func() bool {
		code, _ := r.get("healthz", "/healthz")
		return code == 503
	})
	if code, _ := r.get("healthz", "/livez"); code != 200 {
		t.Errorf("/livez of a node that is drained: %d, want 200", code)
	}
}

// TestTable: without a terminal each table is printed once, when things have settled.
func TestTable(t *testing.T) {
	t.Parallel()
	dir := example(t)
	r := start(t, func(o *Options, _ *Deps) { o.Objects, o.Table = []string{dir}, true })
	const first = "\n9 frontends: 9 programmed\nHNS calls so far: 14 writes (CreateEndpoint 5, CreateLoadBalancer 9)\n"
	r.eventually("print the table", func() bool { return strings.Contains(r.out.String(), first) })
	edit(t, dir, "kube-dns.yaml", "10.244.0.6", "10.244.0.9")
	r.eventually("print the change", func() bool { return strings.Contains(r.out.String(), "10.244.0.5, 10.244.0.9 :53") })
	r.stop()
	if out := r.out.String(); strings.Count(out, "SERVICE") > 3 || strings.Contains(out, "\x1b") {
		t.Errorf("more than a table for each change, or made for a terminal:\n%s", out)
	}
}

// TestOverlay: an overlay has what it needs: provider addresses, endpoints for cluster IPs
// and for the source VIP; without one nothing is programmed and the table says why.
func TestOverlay(t *testing.T) {
	t.Parallel()
	overlay := func(vip string) *running {
		return start(t, func(o *Options, _ *Deps) {
			o.Objects, o.Emulated.NetworkType, o.SourceVIP = []string{exampleDir}, "Overlay", vip
		})
	}
	r := overlay("10.244.1.2")
	r.settled()
	for _, want := range []string{
		"endpoint 10.244.1.2 local", "endpoint 10.96.0.10 remote", "pa=10.0.0.12",
	} {
		if !strings.Contains(r.Emulator.Dump(), want) {
			t.Errorf("HNS has no %q:\n%s", want, r.Emulator.Dump())
		}
	}
	without := overlay("")
	without.eventually("block", func() bool {
		return slices.Contains(without.frontends(), "kube-system/kube-dns clusterip 10.96.0.10:53/UDP blocked none SourceVIPMissing")
	})
}

// TestZone: the Node object says in which zone the proxy is, and a change of it arrives.
func TestZone(t *testing.T) {
	t.Parallel()
	dir := example(t)
	for _, zone := range []string{"zone-1", "zone-2"} {
		edit(t, dir, "kube-dns.yaml", "nodeName: linux-1", "hints: {forZones: [{name: "+zone+"}]}")
	}
	edit(t, dir, "nodes.yaml", "kubernetes.io/os: windows\n    topology.kubernetes.io/zone: zone-a", "kubernetes.io/os: windows\n    topology.kubernetes.io/zone: zone-1")
	r := start(t, func(o *Options, _ *Deps) { o.Objects = []string{dir} })
	dns := func(backend string) func() bool {
		return func() bool {
			return slices.Contains(r.frontends(), "kube-system/kube-dns clusterip 10.96.0.10:53/UDP programmed "+backend+" :53")
		}
	}
	r.eventually("choose the endpoint of our zone", dns("10.244.0.5"))
	edit(t, dir, "nodes.yaml", "topology.kubernetes.io/zone: zone-1", "topology.kubernetes.io/zone: zone-2")
	r.eventually("follow the Node to another zone", dns("10.244.0.6"))
}

// TestBindAddress: it outranks the Node object, so a backend on that address is this
// node's own.
func TestBindAddress(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *Options, _ *Deps) { o.Objects, o.BindAddress = []string{exampleDir}, "10.0.0.10" })
	r.eventually("take the address for ours", func() bool {
		return slices.Contains(r.frontends(), "default/kubernetes clusterip 10.96.0.1:443/TCP blocked 10.0.0.10* :6443 LocalEndpointMissing")
	})
}

func TestGivenDriverAndStandardInput(t *testing.T) {
	t.Parallel()
	e := emulatorWith(t, "Calico", "L2Bridge")
	dns, err := os.Open(filepath.Join(exampleDir, "kube-dns.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dns.Close() })
	r := start(t, func(o *Options, d *Deps) {
		o.HNS, o.Network, o.Objects = HCN, "Calico", []string{"-"}
		d.Driver, d.In = e, dns
	})
	r.settled()
	if r.Emulator != nil {
		t.Error("a given driver got a network plugin")
	}
	if n := len(r.frontends()); n != 2 {
		t.Errorf("%d frontends from standard input, want 2", n)
	}
	// There is no Node in it: the proxy works, load balancers are told not to send here.
	if code, body := r.get("healthz", "/healthz"); code != 503 || !strings.Contains(body, `"nodeEligible":false`) {
		t.Errorf("/healthz without a Node: %d %s", code, body)
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	broken := filepath.Join(t.TempDir(), "hns.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"options", func(o *Options) { o.ProxyMode = "ipvs" }, "--proxy-mode=ipvs"},
		{"no such file", func(o *Options) { o.Objects = []string{"no-such-file"} }, "no-such-file"},
		{"no source", func(o *Options) { o.Objects = nil }, "set --kubeconfig, or --hns-objects"},
		{"no such kubeconfig", func(o *Options) { o.Objects, o.Kubeconfig = nil, "no-such-file" }, "--kubeconfig=no-such-file"},
		{"broken state", func(o *Options) { o.Emulated.State = broken }, "delete the file to start from scratch"},
		{"taken port with hard fail", func(o *Options) {
			o.HealthzBindAddress, o.BindAddressHardFail = taken.Addr().String(), true
		}, "serve healthz on " + taken.Addr().String()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := NewOptions()
			o.HNS, o.Network, o.Hostname, o.Objects = Emulator, "n", "win-node-1", []string{exampleDir}
			o.HealthzBindAddress, o.MetricsBindAddress = "", ""
			tt.change(o)
			err := Run(t.Context(), *o, Deps{Emulate: emulate, Out: io.Discard})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Run = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestStateFile: the file is the emulator's own form, whole at any time.
func TestStateFile(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "hns.json")
	r := start(t, func(o *Options, _ *Deps) { o.Objects, o.Emulated.State = []string{exampleDir}, state })
	r.settled()
	r.stop()
	text, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	var content struct{ LoadBalancers []any }
	if err := json.Unmarshal(text, &content); err != nil || len(content.LoadBalancers) != 9 {
		t.Errorf("state file has %d load balancers, %v; want 9", len(content.LoadBalancers), err)
	}
}
