// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// execute runs the command with arguments and returns what it wrote.
func execute(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := NewCommand(nil, emulate)
	cmd.SetOut(&out)
	cmd.SetErr(&errOut)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errOut.String(), err
}

func TestCommandLineErrors(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"stray"}, `hnsproxy takes no argument "stray"`},
		{[]string{"--no-such-flag"}, "unknown flag --no-such-flag"},
		{[]string{"--iptables-sync-period=soon"}, "--iptables-sync-period=soon: is not a duration; use a duration with a unit"},
		{[]string{"", "--proxy-mode=userspace"}, "--proxy-mode=userspace"},
		{[]string{"plan"}, "no objects given"},
		{[]string{"plan", "--objects=x", "-o", "toml"}, "--output=toml"},
	} {
		_, _, err := execute(t, tt.args...)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("hnsproxy %q: error %v, want one with %q", tt.args, err, tt.want)
		}
	}
}

// TestVersion: start scripts look for vMAJOR.MINOR in it, and PowerShell finds it in one line only.
func TestVersion(t *testing.T) {
	out, _, err := execute(t, "--version")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^Kubernetes v1\.\d+\.\d+\n$`).MatchString(out) {
		t.Errorf("--version prints %q", out)
	}
	if out, _, err = execute(t, "--version=raw"); err != nil || !strings.HasPrefix(out, "version.Info{") {
		t.Errorf("--version=raw prints %q, error %v", out, err)
	}
	if out, _, err = execute(t, "version"); err != nil || !strings.HasPrefix(out, "hnsproxy ") {
		t.Errorf("version prints %q, error %v", out, err)
	}
	var v versions
	if out, _, err = execute(t, "version", "-o", "json"); err != nil || json.Unmarshal([]byte(out), &v) != nil || v.Kubernetes != kubernetesVersion() {
		t.Errorf("version -o json prints %q, error %v", out, err)
	}
}

// TestHelp: every flag stands in the help of its command, in one group.
func TestHelp(t *testing.T) {
	root := NewCommand(nil, emulate)
	plan, _, err := root.Find([]string{"plan"})
	if err != nil {
		t.Fatal(err)
	}
	for path, cmd := range map[string]*cobra.Command{"": root, "plan": plan} {
		args := append(strings.Fields(path), "--help")
		out, _, err := execute(t, args...)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"Usage:\n", "Examples:\n", "Hnsproxy flags:\n"} {
			if !strings.Contains(out, part) {
				t.Errorf("%q prints no %q", args, part)
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden {
				return
			}
			if n := strings.Count(out, "--"+f.Name+" ") - strings.Count(cmd.Example+cmd.Long+cmd.UseLine(), "--"+f.Name+" "); n < 1 {
				t.Errorf("%q says nothing of --%s", args, f.Name)
			}
		})
	}
}
