// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/service"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/service/servicetest"
)

// serviceCommand runs hnsproxy service against services of kube-proxy in memory.
func serviceCommand(t *testing.T, m *servicetest.Manager, args ...string) (string, error) {
	t.Helper()
	cmd := NewCommand(nil, emulate)
	for _, c := range cmd.Commands() {
		if c.Name() == "service" {
			cmd.RemoveCommand(c)
		}
	}
	cmd.AddCommand(newServiceCommand(func() (service.Manager, error) { return m, nil }))
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(append([]string{"service"}, args...))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestServiceCommand(t *testing.T) {
	m := servicetest.New(service.Definition{Name: "kube-proxy", Command: []string{`C:\k\kube-proxy.exe`, "--windows-service", "--proxy-mode=kernelspace", "--hns-driver=emulator"}},
		service.Definition{Name: "hostile", Command: []string{"hnsproxy.exe", "--v=\x1b[2J"}},
		service.Definition{Name: "old", Command: []string{`C:\k\kube-proxy.exe`, "--proxy-mode=userspace"}})
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"", ExitInvalid, "the commands are: install, start, status, stop, uninstall"},
		{"restart", ExitInvalid, `takes no argument "restart"`},
		{"install stray", ExitInvalid, `takes no argument "stray"`},
		{"install stray -- --v=2", ExitInvalid, `takes no argument "stray"`},
		{"install -o toml", ExitInvalid, "--output=toml"},
		{"install --start-type=never", ExitInvalid, "--start-type=never"},
		{"install --name=", ExitInvalid, "--name="},
		{"install -- --no-such-flag", ExitInvalid, "unknown flag --no-such-flag"},
		{"install -- stray", ExitInvalid, `takes no argument "stray"`},
		{"install -- --kubeconfig=config", ExitInvalid, "--kubeconfig=config: must be an absolute path: a service starts in System32; use an absolute path"},
		{"install --from-service=old", ExitInvalid, "--proxy-mode=userspace"},
		{"install --from-service=none", ExitFailed, "no such service"},
		{"start", ExitFailed, "no such service"},
		{"status", ExitStopped, "Service hnsproxy is not installed"},
		{"uninstall", ExitStopped, "Service hnsproxy is not installed; nothing to do"},
		{"install --from-service=kube-proxy --dry-run", ExitStopped, "Service hnsproxy would be created, from service kube-proxy\n"},
		{"install --from-service=kube-proxy -- --hns-share=0.5", ExitStopped, " --windows-service --proxy-mode=kernelspace --hns-driver=emulator --hns-share=0.5\n"},
		{"start", ExitStopped, "Service hnsproxy is running\n"},
		{"status", ExitStopped, "Service hnsproxy is running, process 42\n"},
		{"status --name=hostile", ExitStopped, `--v=\x1b[2J`},
		{"stop", ExitStopped, "Service hnsproxy stopped; HNS rules left in place\n"},
		{"uninstall", ExitStopped, "Service hnsproxy removed; HNS rules left in place\n"},
		{"status --help", ExitStopped, "--output FORMAT"},
	} {
		out, err := serviceCommand(t, m, strings.Fields(tt.args)...)
		if err != nil {
			out += err.Error()
		}
		if ExitCode(err) != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("hnsproxy service %s: exit code %d, want %d and %q in\n%s", tt.args, ExitCode(err), tt.code, tt.want, out)
		}
	}
}

// TestServiceStatusJSON: scripts read it.
func TestServiceStatusJSON(t *testing.T) {
	m := servicetest.New()
	if _, err := serviceCommand(t, m, "install", "--", "--hns-driver=emulator", "--log-file="+filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	out, err := serviceCommand(t, m, "status", "-o", "json")
	var s struct {
		Installed bool
		State     string
		Service   struct{ Start string }
	}
	if err != nil || json.Unmarshal([]byte(out), &s) != nil || !s.Installed || s.State != "stopped" || s.Service.Start != "auto" {
		t.Errorf("error %v, got %+v from\n%s", err, s, out)
	}
}

// TestServiceEnvironment: arguments are judged in the environment that the service has.
func TestServiceEnvironment(t *testing.T) {
	r, err := resolveArguments([]string{"--hns-driver=emulator"}, []string{"KUBE_NETWORK=one", "kube_network=two"})
	if err != nil || r.Options.Network != "two" {
		t.Errorf("error %v, got %+v", err, r)
	}
}

// TestServiceElsewhere: other systems say that they have no services.
func TestServiceElsewhere(t *testing.T) {
	if _, err := service.Connect(); err == nil {
		return // Windows, which the tests of e2e/winlab are about
	}
	_, _, err := execute(t, "service", "status")
	if ExitCode(err) != ExitFailed || !strings.Contains(err.Error(), "no Windows services") {
		t.Errorf("got %v", err)
	}
}
