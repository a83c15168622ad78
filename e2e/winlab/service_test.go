// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package winlab_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// hnsproxyProgram builds hnsproxy.exe once for all tests.
var hnsproxyProgram = sync.OnceValues(func() (program.Program, error) { return program.Hnsproxy(context.Background(), buildDir) })

// node is a Windows node whose service control manager is Wine's, in a prefix of its own, with hnsproxy.exe on it.
type node struct {
	t   *testing.T
	env []string
	// hns is the emulated HNS, exe the path of hnsproxy.exe as Windows programs see it, dir is for files.
	hns      *winlab.Service
	exe, dir string
}

// newNode makes a node with an L2Bridge network of the name Calico.
func newNode(t *testing.T) *node {
	t.Helper()
	if err := winlab.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	p, err := hnsproxyProgram()
	if err != nil {
		t.Fatal(err)
	}
	e := emulator.New(emulator.Config{Profile: profiles.WS2022()})
	spec, err := winlab.Network("Calico", "L2Bridge")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddNetwork(spec); err != nil {
		t.Fatal(err)
	}
	hns, err := winlab.Serve(e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeService(t, hns) })
	prefix := winlab.NewPrefix(t)
	n := &node{t: t, hns: hns, exe: windowsPath(p.Path), dir: t.TempDir(), env: prefix.Env}
	// Services get the environment of the machine as it was when the service control manager started.
	n.run("reg", "add", `HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment`, "/v", winlab.EnvEmulator, "/d", hns.HCN, "/f")
	if err := prefix.End(); err != nil {
		t.Fatal(err)
	}
	return n
}

// windowsPath is how Wine shows a file of this machine to its programs.
func windowsPath(path string) string { return `Z:` + strings.ReplaceAll(path, "/", `\`) }

func (n *node) command(name string, args ...string) *exec.Cmd {
	n.t.Helper()
	cmd, err := winlab.Command(n.t.Context(), n.env, name, args...)
	if err != nil {
		n.t.Fatal(err)
	}
	return cmd
}

func (n *node) run(name string, args ...string) string {
	n.t.Helper()
	output, err := n.command(name, args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("%s %q: %v\n%s", name, args, err, output)
	}
	return string(output)
}

// service runs hnsproxy service, which is to succeed.
func (n *node) service(args ...string) string {
	n.t.Helper()
	return n.run(n.exe, append([]string{"service"}, args...)...)
}

// refused runs hnsproxy service, which is to fail with an exit code and a text.
func (n *node) refused(code int, text string, args ...string) {
	n.t.Helper()
	output, err := n.command(n.exe, append([]string{"service"}, args...)...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != code || !strings.Contains(string(output), text) {
		n.t.Errorf("hnsproxy service %q: %v, want exit code %d and %q in\n%s", args, err, code, text, output)
	}
}

// status is that of the service, as hnsproxy service status tells it.
func (n *node) status() (s struct {
	Installed       bool
	State           string
	ProcessID       int
	ServiceExitCode int
}) {
	n.t.Helper()
	if err := json.Unmarshal([]byte(n.service("status", "-o", "json")), &s); err != nil {
		n.t.Fatal(err)
	}
	return s
}

// write writes a file for the node and returns its path there.
func (n *node) write(name, content string) string {
	n.t.Helper()
	path := filepath.Join(n.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return windowsPath(path)
}

// log is what hnsproxy has logged on the node.
func (n *node) log() string {
	text, err := os.ReadFile(filepath.Join(n.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// await waits for something that a service brings about.
func (n *node) await(what string, done func() bool) {
	n.t.Helper()
	err := wait.PollUntilContextTimeout(n.t.Context(), 20*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return done(), nil })
	if err != nil {
		n.t.Fatalf("%s: %v; the log:\n%s", what, err, n.log())
	}
}

// kubeProxy makes a service that would run kube-proxy.exe, as start scripts of GCE do.
func (n *node) kubeProxy(runner string, args ...string) {
	n.t.Helper()
	args = append([]string{runner + `C:\k\kube-proxy.exe`, "--proxy-mode=kernelspace", "--hostname-override=win-node-1", "--network-name=Calico",
		"--windows-service=true", "--feature-gates=WinDSR=true", "--healthz-bind-address=127.0.0.1:0", "--metrics-bind-address=127.0.0.1:0",
		`--cluster-cidr=`}, args...)
	n.run("sc", "create", "kube-proxy", "binpath=", strings.Join(args, " "), "start=", "auto")
}

// rested reports whether hnsproxy, since the last start, has found HNS to be as it should.
func (n *node) rested() bool {
	log := n.log()
	return strings.Contains(log[max(strings.LastIndex(log, "Starting hnsproxy"), 0):], "First sync complete")
}

// unreachable is a kubeconfig whose server is an address of documentation.
const unreachable = `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://192.0.2.1:6443"}}]
users: [{name: u, user: {token: t}}]
`

// logFlags make hnsproxy keep its log where node.log finds it.
func (n *node) logFlags() []string {
	return []string{"--logtostderr=false", "--log-file=" + windowsPath(filepath.Join(n.dir, "log"))}
}

// TestServiceTakesOver: hnsproxy is installed with the arguments of kube-proxy, runs although neither the API server nor HNS
// answers, stops, and goes.
func TestServiceTakesOver(t *testing.T) {
	n := newNode(t)
	n.hns.Stop()
	n.refused(1, "no such service", "install", "--from-service=kube-proxy")
	n.refused(1, "no such service", "start")
	n.kubeProxy("", "--kubeconfig="+n.write("kubeconfig", unreachable))

	if out := n.service("install", "--from-service=kube-proxy", "--dry-run"); !strings.Contains(out, "would be created") || n.status().Installed {
		t.Errorf("a dry run installs something:\n%s", out)
	}
	n.refused(2, "--no-such-flag", "install", "--from-service=kube-proxy", "--", "--no-such-flag")
	if n.status().Installed {
		t.Error("arguments that cannot be used are installed")
	}
	out := n.service(append([]string{"install", "--from-service=kube-proxy", "--"}, n.logFlags()...)...)
	for _, want := range []string{"Service hnsproxy created, from service kube-proxy\n", n.exe + " --proxy-mode=kernelspace ", ` --cluster-cidr= --kubeconfig=Z:\`,
		"sc.exe config kube-proxy start= disabled"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if out := n.service(append([]string{"install", "--from-service=kube-proxy", "--"}, n.logFlags()...)...); !strings.Contains(out, "hnsproxy unchanged") {
		t.Errorf("the second time:\n%s", out)
	}

	began := time.Now()
	n.service("start", "--wait=10s")
	t.Logf("running after %v, with the start of the program that waits for it", time.Since(began).Round(time.Millisecond))
	if s := n.status(); s.State != "running" || s.ProcessID == 0 {
		t.Errorf("the status is %+v", s)
	}
	n.service("start")
	n.service("stop")
	n.service("stop")
	if s := n.status(); s.State != "stopped" || s.ServiceExitCode != 0 {
		t.Errorf("after a stop the status is %+v", s)
	}
	if calls := n.hns.Counts()[hnslb.VerbCreateLoadBalancer]; calls > 0 {
		t.Errorf("%d load balancers were created", calls)
	}
	n.service("uninstall")
	if n.status().Installed {
		t.Error("the service is still there")
	}
	n.service("uninstall")
	n.refused(1, ", not hnsproxy", "uninstall", "--name=kube-proxy")
}

// dns are Services with UDP, whose load balancers are made anew when their endpoint changes.
func dns(services int, endpoint string) string {
	var b strings.Builder
	for i := range services {
		fmt.Fprintf(&b, `---
{apiVersion: v1, kind: Service, metadata: {name: dns%[1]d, namespace: default}, spec: {clusterIP: 10.96.0.%[1]d, ports: [{port: 53, protocol: UDP}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: dns%[1]d-1, namespace: default, labels: {kubernetes.io/service-name: dns%[1]d}},
 addressType: IPv4, ports: [{name: "", port: 53, protocol: UDP}], endpoints: [{addresses: [%[2]s], conditions: {ready: true}}]}
`, i+1, endpoint)
	}
	return b.String()
}

// TestServiceStops: a stop lets the calls under way, and what must follow them, come to their end, begins nothing else, and
// leaves HNS alone after that; the next start finds everything in place.
func TestServiceStops(t *testing.T) {
	const services = 20
	n := newNode(t)
	n.hns.SetFaults(profiles.Faults{WritesTake: 300 * time.Millisecond})
	objects := n.write("dns.yaml", dns(services, "10.244.2.1"))
	n.kubeProxy("")
	n.service(append([]string{"install", "--from-service=kube-proxy", "--", "--hns-objects=" + objects}, n.logFlags()...)...)
	n.service("start")
	n.await("the load balancers", func() bool { return len(n.hns.State().LoadBalancers) == services })

	// Each is deleted and created again.
	n.write("dns.yaml", dns(services, "10.244.2.2"))
	n.await("a deletion", func() bool { return len(n.hns.State().LoadBalancers) < services })
	n.service("stop")
	if s := n.status(); s.State != "stopped" || s.ServiceExitCode != 0 {
		t.Errorf("after the stop the status is %+v", s)
	}
	left := n.hns.Dump()
	anew := strings.Count(left, "backends=10.244.2.2")
	if len(n.hns.State().LoadBalancers) != services || anew == 0 || anew == services || len(n.hns.StillDark()) > 0 {
		t.Errorf("stopped in the middle of %d changes, HNS holds\n%s\nafter\n%s", services, left, n.log())
	}
	t.Logf("stopped after %d of %d", anew, services)

	n.hns.ClearFaults()
	n.write("dns.yaml", dns(services, "10.244.2.2"))
	n.service("start")
	n.await("the other load balancers", func() bool { return strings.Count(n.hns.Dump(), "backends=10.244.2.2") == services && n.rested() })
	n.service("stop")
	left = n.hns.Dump()
	n.hns.ResetCounts()
	n.service("start")
	n.await("a look at HNS", func() bool { return n.hns.Counts()[hnslb.VerbLoadBalancers] > 0 && n.rested() })
	n.service("stop")
	writes := 0
	for verb, calls := range n.hns.Counts() {
		if verb.IsWrite() {
			writes += calls
		}
	}
	if now := n.hns.Dump(); now != left || writes > 0 {
		t.Errorf("a start and a stop made %d writes; HNS holds\n%s\nafter\n%s", writes, now, left)
	}
}

// TestServiceFails: what ends hnsproxy is told to the service control manager as the exit code, and to the log.
func TestServiceFails(t *testing.T) {
	n := newNode(t)
	config := n.write("config.yaml", "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nwindowsRunAsService: true\n"+
		"winkernel: {networkName: Calico}\nhealthzBindAddress: 127.0.0.1:0\nmetricsBindAddress: 127.0.0.1:0\n")
	objects := n.write("dns.yaml", dns(1, "10.244.2.1"))
	n.service(append([]string{"install", "--", "--config=" + config, "--hostname-override=win-node-1", "--hns-objects=" + objects}, n.logFlags()...)...)
	n.service("start")
	n.write("config.yaml", "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nwinkernel: {networkName: Calico, sourceVip: nonsense}\n")
	n.await("the end for another configuration", func() bool { return n.status().State == "stopped" })
	if s := n.status(); s.ServiceExitCode != 3 {
		t.Errorf("for another configuration the status is %+v", s)
	}
	if !strings.Contains(n.log(), "hnsproxy failed") {
		t.Errorf("the log does not say why it ended:\n%s", n.log())
	}
	n.refused(1, "exit code 2 of hnsproxy", "start")
}

// TestServiceBehindAnother: the service control manager starts a program that starts hnsproxy, as kube-log-runner does. Here
// it is Windows' shell.
func TestServiceBehindAnother(t *testing.T) {
	n := newNode(t)
	objects := n.write("dns.yaml", dns(1, "10.244.2.1"))
	n.kubeProxy(`C:\windows\system32\cmd.exe /c `)
	out := n.service(append([]string{"install", "--from-service=kube-proxy", "--", "--hns-objects=" + objects}, n.logFlags()...)...)
	if want := `started by: C:\windows\system32\cmd.exe /c, as before`; !strings.Contains(out, want) {
		t.Errorf("no %q in\n%s", want, out)
	}
	n.service("start", "--wait=20s")
	n.await("the load balancer", func() bool { return len(n.hns.State().LoadBalancers) == 1 })
	n.service("stop")
	if s := n.status(); s.State != "stopped" || len(n.hns.State().LoadBalancers) != 1 {
		t.Errorf("after the stop the status is %+v, HNS holds\n%s", s, n.hns.Dump())
	}
}

// TestServicesOfOthers: services that hnsproxy has not installed itself, as start scripts make them.
func TestServicesOfOthers(t *testing.T) {
	n := newNode(t)
	objects := n.write("dns.yaml", dns(1, "10.244.2.1"))
	config := n.write("config.yaml", "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nwindowsRunAsService: true\n"+
		"winkernel: {networkName: Calico}\nhealthzBindAddress: 127.0.0.1:0\nmetricsBindAddress: 127.0.0.1:0\n")
	rest := append([]string{"--hostname-override=win-node-1", "--hns-objects=" + objects}, n.logFlags()...)
	for _, tt := range []struct {
		name    string
		command []string
	}{
		{"the file asks for it", []string{n.exe, "--config=" + config}},
		{"the file asks for it, behind another program", []string{`C:\windows\system32\cmd.exe`, "/c", n.exe, "--config=" + config}},
		{"flag and file", []string{n.exe, "--config", config, "--windows-service"}},
	} {
		n.run("sc", "create", "hnsproxy", "binpath=", strings.Join(append(tt.command, rest...), " "))
		n.service("start", "--wait=20s")
		n.await(tt.name+": the load balancer", func() bool { return len(n.hns.State().LoadBalancers) == 1 && n.rested() })
		n.service("stop")
		if s := n.status(); s.State != "stopped" || s.ServiceExitCode != 0 {
			t.Errorf("%s: after the stop the status is %+v", tt.name, s)
		}
		n.service("uninstall")
	}
}

// TestNoService: --windows-service in a console, or below a program that is the service itself, as nssm, does no harm.
func TestNoService(t *testing.T) {
	n := newNode(t)
	objects := n.write("dns.yaml", dns(1, "10.244.2.1"))
	cmd := n.command(n.exe, append([]string{"--windows-service", "--hostname-override=win-node-1", "--network-name=Calico", "--hns-objects=" + objects,
		"--healthz-bind-address=127.0.0.1:0", "--metrics-bind-address=127.0.0.1:0"}, n.logFlags()...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.await("the load balancer", func() bool { return len(n.hns.State().LoadBalancers) == 1 })
	n.await("the word", func() bool { return strings.Contains(n.log(), "as an ordinary process") })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v, want exit code 0", err)
	}
}
