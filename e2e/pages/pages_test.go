// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

const (
	nodeName = "win-node-1"
	network  = "pods"
	// patience is for programs under Wine on a busy machine.
	patience = 2 * time.Minute
)

// lab is a Windows node with a control plane of its own.
type lab struct {
	*testing.T
	plane *controlplane.ControlPlane
	// kubeProxy and hnsproxy are the programs.
	kubeProxy, hnsproxy program.Program
	// user is whose kubeconfig they get.
	user string
	host
}

// host is an HNS, and where a program that programs it serves.
type host struct {
	hns       *winlab.Service
	addresses map[string]string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{T: t, user: controlplane.Admin}
	l.must(winlab.Prepare(t.Context()))
	var err error
	l.kubeProxy, err = program.KubeProxy(t.Context())
	l.must(err)
	l.hnsproxy, err = program.Hnsproxy(t.Context(), t.TempDir())
	l.must(err)
	l.plane = controlplane.New(t)
	spec, err := winlab.Network(network, "L2Bridge")
	l.must(err)
	_, err = kubelet.New(l.plane.Admin).AddNode(t.Context(), kubelet.Node{Name: nodeName, OS: "windows",
		InternalIPs: []netip.Addr{spec.ManagementIP, spec.ManagementIPv6}, PodCIDRs: spec.Subnets})
	l.must(err)
	l.host = l.newHost()
	return l
}

// newHost makes another HNS, with ports of its own.
func (l *lab) newHost() host {
	l.Helper()
	e := emulator.New(emulator.Config{Profile: profiles.WS2022()})
	spec, err := winlab.Network(network, "L2Bridge")
	l.must(err)
	_, err = e.AddNetwork(spec)
	l.must(err)
	service, err := winlab.Serve(e)
	l.must(err)
	l.Cleanup(func() {
		if err := service.Close(); err != nil {
			l.Error(err)
		}
	})
	return host{service, map[string]string{"healthz": freeAddress(l.T), "metrics": freeAddress(l.T)}}
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // it was only there to choose the port
	return listener.Addr().String()
}

// launch starts a program on a host with further flags.
func (l *lab) launch(p program.Program, h host, args ...string) *program.Running {
	l.Helper()
	kubeconfig, err := l.plane.Kubeconfig(l.Context(), l.user)
	l.must(err)
	args = append([]string{
		"--proxy-mode=kernelspace", "--kubeconfig=" + kubeconfig, "--hostname-override=" + nodeName, "--network-name=" + network, "--v=2",
		"--healthz-bind-address=" + h.addresses["healthz"], "--metrics-bind-address=" + h.addresses["metrics"],
	}, args...)
	r, err := p.Launch(l.Context(), h.hns, l.TempDir(), args...)
	l.must(err)
	l.Cleanup(r.Kill)
	return r
}

// start starts a program and returns when it has synced.
func (l *lab) start(p program.Program, h host, args ...string) *program.Running {
	l.Helper()
	r := l.launch(p, h, args...)
	l.await(p.Name+" to sync", r, func(ctx context.Context) bool {
		page, err := ask(ctx, h.addresses, request{port: "metrics", method: http.MethodGet, path: "/metrics"})
		if err != nil || !synced(page.body) {
			return false
		}
		livez, err := ask(ctx, h.addresses, request{port: "healthz", method: http.MethodGet, path: "/livez"})
		return err == nil && livez.status == http.StatusOK
	})
	return r
}

// await waits for something that a program brings about.
func (l *lab) await(what string, r *program.Running, done func(context.Context) bool) {
	l.Helper()
	err := wait.PollUntilContextTimeout(l.Context(), 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) { return done(ctx), nil })
	if err != nil {
		l.Fatalf("waited for %s: %v\n%s", what, err, r.Tail(30))
	}
}

// record asks a program everything, in the order of requests.
func (l *lab) record(p program.Program, args ...string) []answer {
	l.Helper()
	r := l.start(p, l.host, args...)
	out := make([]answer, 0, len(requests()))
	for _, q := range requests() {
		a, err := ask(l.Context(), l.addresses, q)
		if err != nil {
			l.Fatalf("%s, %s: %v\n%s", p.Name, q, err, r.Tail(30))
		}
		out = append(out, a)
	}
	r.Stop()
	return out
}

// TestPages compares every answer.
func TestPages(t *testing.T) {
	l := newLab(t)
	used := map[string]bool{}
	for _, args := range [][]string{
		{"--profiling"},
		{"--feature-gates=ComponentFlagz=false,ComponentStatusz=false", "--v=4", "--enable-dsr", "--nodeport-addresses=primary", "--config-sync-period=1m"},
	} {
		theirs, ours := l.record(l.kubeProxy, args...), l.record(l.hnsproxy, args...)
		for i, q := range requests() {
			if diff := cmp.Diff(reduce(q, theirs[i], used), reduce(q, ours[i], used)); diff != "" {
				t.Errorf("%v: %s (-kube-proxy +hnsproxy):\n%s", args, q, diff)
			}
		}
		t.Logf("%v: %d answers compared", args, len(theirs))
	}
	for _, d := range differences {
		if !used[d.what] {
			t.Errorf("nothing differs by this rule any more: %s", d.what)
		}
	}
}
