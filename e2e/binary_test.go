// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/e2e/process"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// binary is hnsproxy's binary with its HNS in a file.
type binary struct {
	w     *harness.World
	path  string
	state string
}

// TestBinary runs the program as a user does. It programs the emulated HNS of a file, serves what kube-proxy serves, ends with
// exit code 0 when it is asked to, and finds nothing to do when it starts again, also after it was killed.
func TestBinary(t *testing.T) {
	w := harness.New(t, plane, harness.Setup{Profile: profiles.WS2025()})
	group := w.Group("web", 3)
	w.Service("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort })
	p := build(t, w)

	first := p.start(t)
	p.awaitHNS(t)
	for _, page := range []struct{ server, path, want string }{
		{"healthz", "/healthz", `"nodeEligible":true`},
		{"healthz", "/livez", `"healthy":true`},
		{"metrics", "/healthz", "ok"},
		{"metrics", "/proxyMode", "kernelspace"},
		{"metrics", "/metrics", "\nkubeproxy_sync_proxy_rules_duration_seconds_count{"},
		{"metrics", "/metrics", "\nhnsproxy_frontends{state=\"failing\"} 0\n"},
	} {
		code, body, err := harness.Get("http://" + p.address(t, page.server) + page.path)
		if err != nil || code != 200 || !strings.Contains(body, page.want) {
			t.Errorf("%s: %d %v, want 200 with %q:\n%s", page.path, code, err, page.want, body)
		}
	}
	w.Must(group.Scale(t.Context(), 5))
	p.awaitHNS(t)
	first.Stop(10 * time.Second)
	if err := first.Err(); err != nil {
		t.Errorf("hnsproxy ended with %v after SIGTERM, want exit code 0:\n%s", err, first.Tail(20))
	}
	before := p.held(t)

	second := p.start(t)
	w.Eventually("start again", func() bool { return strings.Contains(second.Tail(100), "First sync complete: 0 writes") })
	second.Kill()
	third := p.start(t)
	w.Eventually("start after a kill", func() bool { return strings.Contains(third.Tail(100), "First sync complete: 0 writes") })
	third.Stop(10 * time.Second)
	if diff := cmp.Diff(before, p.held(t)); diff != "" {
		t.Errorf("HNS before and after two starts (-before +after):\n%s", diff)
	}
}

// TestBinaryRefusesABadCommandLine shows that all that is wrong is told at once, on standard error and with exit code 2.
func TestBinaryRefusesABadCommandLine(t *testing.T) {
	p := build(t, nil)
	output, err := exec.Command(p.path, "--hns-driver=emulator", "--proxy-mode=userspace", "--source-vip=here").CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 {
		t.Errorf("ended with %v, want exit code 2", err)
	}
	for _, want := range []string{"Error:", "--proxy-mode=userspace", "kernelspace", "--source-vip=here"} {
		if !strings.Contains(string(output), want) {
			t.Errorf("the output does not say %q:\n%s", want, output)
		}
	}
}

// build builds the program. Each start of it has a log of its own directory.
func build(t *testing.T, w *harness.World) *binary {
	t.Helper()
	dir := t.TempDir()
	p := &binary{w: w, path: filepath.Join(dir, "hnsproxy"), state: filepath.Join(dir, "hns.json")}
	command := exec.Command("go", "build", "-o", p.path, "./cmd/hnsproxy")
	command.Dir = ".."
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build hnsproxy: %v\n%s", err, output)
	}
	return p
}

// start starts the program. Its log is emptied before.
func (p *binary) start(t *testing.T) *process.Process {
	t.Helper()
	dir := filepath.Dir(p.path)
	if err := os.RemoveAll(process.LogPath(dir, "hnsproxy")); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := plane.Kubeconfig(t.Context(), harness.User())
	if err != nil {
		t.Fatal(err)
	}
	running, err := process.Start(p.path, dir, []string{
		"--kubeconfig=" + kubeconfig, "--hostname-override=" + p.w.Node, "--proxy-mode=kernelspace", "--network-name=pods", "--v=2",
		"--healthz-bind-address=127.0.0.1:0", "--metrics-bind-address=127.0.0.1:0", "--bind-address-hard-fail",
		"--hns-driver=emulator", "--hns-emulator-profile=ws2025", "--hns-emulator-state=" + p.state,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		running.Kill()
		if t.Failed() {
			t.Logf("hnsproxy logged last:\n%s", running.Tail(30))
		}
	})
	return running
}

// address returns where the program serves, from its log.
func (p *binary) address(t *testing.T, server string) string {
	t.Helper()
	log := process.Tail(process.LogPath(filepath.Dir(p.path), "hnsproxy"), 1000)
	match := regexp.MustCompile(`"Serving" what="` + server + `" address="([^"]+)"`).FindStringSubmatch(log)
	if match == nil {
		t.Fatalf("hnsproxy does not log where %s is:\n%s", server, log)
	}
	return match[1]
}

// awaitHNS waits until the file holds what HNS must.
func (p *binary) awaitHNS(t *testing.T) {
	t.Helper()
	p.w.Eventually("program the HNS of the file", func() bool {
		want, err := p.w.Wanted(t.Context())
		return err == nil && cmp.Equal(withoutLocals(want), withoutLocals(p.held(t)))
	})
}

// held returns what the file holds. The file may be missing.
func (p *binary) held(t *testing.T) []string {
	t.Helper()
	file, err := os.Open(p.state)
	if os.IsNotExist(err) {
		return nil
	}
	p.w.Must(err)
	defer file.Close() //nolint:errcheck // only read from
	state, err := emulator.ReadState(file)
	p.w.Must(err)
	return harness.Held(state)
}

// withoutLocals leaves out the endpoints of local Pods: the program's own network plugin makes one for each address.
func withoutLocals(lines []string) []string {
	var out []string
	for _, line := range lines {
		if !strings.HasSuffix(line, " local") {
			out = append(out, line)
		}
	}
	return out
}
