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
	hns        *winlab.Service
	kubeconfig string
	programs   []program.Program
	// addresses are where both programs serve, one after the other.
	addresses map[string]string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{T: t, addresses: map[string]string{}}
	l.must(winlab.Prepare(t.Context()))
	kubeProxy, err := program.KubeProxy(t.Context())
	l.must(err)
	hnsproxy, err := program.Hnsproxy(t.Context(), t.TempDir())
	l.must(err)
	l.programs = []program.Program{kubeProxy, hnsproxy}

	plane := controlplane.New(t)
	e := emulator.New(emulator.Config{Profile: emulator.WS2022()})
	spec, err := winlab.Network(network, "L2Bridge")
	l.must(err)
	_, err = e.AddNetwork(spec)
	l.must(err)
	_, err = kubelet.New(plane.Admin).AddNode(t.Context(), kubelet.Node{Name: nodeName, OS: "windows",
		InternalIPs: []netip.Addr{spec.ManagementIP, spec.ManagementIPv6}, PodCIDRs: spec.Subnets})
	l.must(err)
	l.hns, err = winlab.Serve(e)
	l.must(err)
	t.Cleanup(func() {
		if err := l.hns.Close(); err != nil {
			t.Error(err)
		}
	})
	l.kubeconfig, err = plane.Kubeconfig(t.Context(), controlplane.Admin)
	l.must(err)
	for _, port := range []string{"healthz", "metrics"} {
		l.addresses[port] = freeAddress(t)
	}
	return l
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

// start starts a program with further flags and returns when it has synced.
func (l *lab) start(p program.Program, args ...string) *program.Running {
	l.Helper()
	args = append([]string{
		"--proxy-mode=kernelspace", "--kubeconfig=" + l.kubeconfig, "--hostname-override=" + nodeName, "--network-name=" + network, "--v=2",
		"--healthz-bind-address=" + l.addresses["healthz"], "--metrics-bind-address=" + l.addresses["metrics"],
	}, args...)
	r, err := p.Launch(l.Context(), l.hns, l.TempDir(), args...)
	l.must(err)
	l.Cleanup(r.Kill)
	err = wait.PollUntilContextTimeout(l.Context(), 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		a, err := ask(ctx, l.addresses, request{port: "metrics", method: http.MethodGet, path: "/metrics"})
		if err != nil {
			return false, nil //nolint:nilerr // it does not serve yet
		}
		synced := synced(a.body)
		a, err = ask(ctx, l.addresses, request{port: "healthz", method: http.MethodGet, path: "/livez"})
		return synced && err == nil && a.status == http.StatusOK, nil
	})
	if err != nil {
		l.Fatalf("%s does not get ready: %v\n%s", p.Name, err, r.Tail(30))
	}
	return r
}

// record asks a program everything, in the order of requests.
func (l *lab) record(p program.Program, args ...string) []answer {
	l.Helper()
	r := l.start(p, args...)
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
		theirs, ours := l.record(l.programs[0], args...), l.record(l.programs[1], args...)
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
