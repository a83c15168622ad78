// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package corpus_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/internal/corpus"
)

// TestDeployments: each deployment is whole, and each configuration file is of one.
func TestDeployments(t *testing.T) {
	names, unused := map[string]bool{}, map[string]bool{}
	for _, name := range corpus.Configs() {
		unused[name] = true
	}
	for _, d := range corpus.Deployments() {
		if names[d.Name] {
			t.Errorf("two are called %s", d.Name)
		}
		names[d.Name] = true
		delete(unused, d.Config)
		args := d.Args()
		if len(args) == 0 || !strings.HasPrefix(args[0], "--") {
			t.Errorf("%s: arguments %q", d.Name, args)
		}
		if (d.ConfigPath() == "") != (d.Config == "") {
			t.Errorf("%s names the file %q, and has %q", d.Name, d.ConfigPath(), d.Config)
		}
		if named := slices.ContainsFunc(args, func(a string) bool { return a == "--kubeconfig="+d.Kubeconfig }); !named && d.Config == "" && d.Kubeconfig != "" {
			t.Errorf("%s has a kubeconfig in %s and does not name it", d.Name, d.Kubeconfig)
		}
		if d.HNS.Name == "" || d.HNS.Type == "" {
			t.Errorf("%s has no HNS network", d.Name)
		}
	}
	if len(unused) > 0 {
		t.Errorf("files of no deployment: %v", unused)
	}
}

// TestArgs: what starts kube-proxy.exe, and quotes, are no part of its arguments.
func TestArgs(t *testing.T) {
	for line, want := range map[string][]string{
		`kube-proxy.exe --v=1`: {"--v=1"},
		`"C:\Program Files\host.exe" kube-proxy "C:\Program Files\Kube-Proxy.exe" --kubeconfig="C:\k 1\c" --a ""`: {"--kubeconfig=C:\\k 1\\c", "--a", ""},
		`C:\k\kube-log-runner.exe -log-file=C:\kube-proxy.log C:\k\kube-proxy.exe --config C:\k\c`:                {"--config", `C:\k\c`},
	} {
		if got := (corpus.Deployment{Line: line}).Args(); !slices.Equal(got, want) {
			t.Errorf("%s has the arguments %q, want %q", line, got, want)
		}
	}
}
