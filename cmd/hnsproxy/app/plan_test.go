// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite the golden files; read the difference")

// golden compares text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), go test -update rewrites it:\n%s", path, diff)
	}
}

func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		golden string
		args   []string
	}{
		{"plan.txt", nil},
		{"plan.json", []string{"-o", "json"}},
		{"plan-overlay.txt", []string{"--network-type=Overlay", "--source-vip=10.244.1.2", "--enable-dsr"}},
		{"plan-overlay-blocked.txt", []string{"--network-type=overlay"}},
		{"plan-other-node.txt", []string{"--hostname-override=win-node-2"}},
	} {
		args := append([]string{"plan", "--objects", exampleDir, "--hostname-override=win-node-1"}, tt.args...)
		out, complaints, err := execute(t, args...)
		if err != nil || complaints != "" {
			t.Errorf("%q: %v, %s", args, err, complaints)
		}
		golden(t, tt.golden, out)
	}
}

// TestPlanFormats: YAML says what JSON says.
func TestPlanFormats(t *testing.T) {
	asJSON, _, err := execute(t, "plan", "--objects", exampleDir, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	asYAML, _, err := execute(t, "plan", "--objects", exampleDir, "-o", "yaml")
	if err != nil {
		t.Fatal(err)
	}
	var fromJSON, fromYAML map[string]any
	if err := json.Unmarshal([]byte(asJSON), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(asYAML), &fromYAML); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fromJSON, fromYAML); diff != "" || fromJSON["steps"] == nil {
		t.Errorf("-json +yaml:\n%s", diff)
	}
}

// TestPlanWithoutNode: a wrong node name is said, with those that would be right.
func TestPlanWithoutNode(t *testing.T) {
	_, complaints, err := execute(t, "plan", exampleDir, "--hostname-override=nobody")
	if err != nil {
		t.Fatal(err)
	}
	if want := `Node "nobody" not found; treating all endpoints as remote; --hostname-override takes one of: linux-1, win-node-1, win-node-2`; strings.TrimSpace(complaints) != want {
		t.Errorf("stderr %q, want %q", complaints, want)
	}
}

// TestPlanBadObjects: what is wrong is said and fails the command; the rest is planned.
func TestPlanBadObjects(t *testing.T) {
	dir := example(t)
	edit(t, dir, "iis.yaml", "clusterIP: 10.96.11.30", "clusterIP: 10.96.11")
	edit(t, dir, "kube-dns.yaml", "{name: dns, port: 53, protocol: UDP}", "{name: dns, port: 53053053, protocol: UDP}")
	out, complaints, err := execute(t, "plan", "--objects", dir, "--hostname-override=win-node-1")
	if err == nil {
		t.Error("no error for objects that cannot be used")
	}
	for _, part := range []string{"Service default/iis", "Service kube-system/kube-dns", "53053053"} {
		if !strings.Contains(complaints, part) {
			t.Errorf("stderr says nothing of %q:\n%s", part, complaints)
		}
	}
	if !strings.Contains(out, "create loadbalancer 203.0.113.20:80/TCP") || strings.Contains(out, "10.96.11.30") {
		t.Errorf("the rest is not planned:\n%s", out)
	}
}

// TestPlanSelects: what another proxy serves is none of ours, and --bind-address says what
// is this node's.
func TestPlanSelects(t *testing.T) {
	dir := example(t)
	edit(t, dir, "iis.yaml", "  namespace: default\n", "  namespace: default\n  labels: {service.kubernetes.io/service-proxy-name: mesh}\n")
	out, _, err := execute(t, "plan", "--objects", dir, "--hostname-override=win-node-1", "--bind-address=10.0.0.10")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, "default/iis") {
		t.Errorf("a Service of another proxy is planned:\n%s", out)
	}
	if !strings.Contains(out, "10.0.0.10* :6443") {
		t.Errorf("--bind-address is not taken for this node's:\n%s", out)
	}
}

// TestPlanFromState: a plan starts from what HNS holds, and changes nothing of it. The pod
// 10.244.1.41 has no endpoint in there, so nobody may serve its Service.
func TestPlanFromState(t *testing.T) {
	dir := example(t)
	state := filepath.Join(t.TempDir(), "hns.json")
	r := start(t, func(o *Options, _ *Deps) { o.Objects, o.Emulated.State = []string{dir}, state })
	r.settled()
	r.stop()
	before, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	plan := func() string {
		t.Helper()
		out, _, err := execute(t, "plan", "--objects", dir, "--hostname-override=win-node-1", "--emulator-state", state)
		if err != nil {
			t.Fatal(err)
		}
		_, steps, _ := strings.Cut(out, "9 frontends, ")
		return steps
	}
	if got := plan(); got != "0 steps:\n" {
		t.Errorf("plan for an unchanged cluster: %s", got)
	}
	edit(t, dir, "kube-dns.yaml", "10.244.0.6", "10.244.0.9")
	edit(t, dir, "windows-exporter.yaml", "10.244.1.40", "10.244.1.41")
	want := `7 steps:
   1  create endpoint 10.244.0.9 remote mac 02-11-0a-f4-00-09
   2  delete loadbalancer 10.96.0.10:53/TCP
   3  create loadbalancer 10.96.0.10:53/TCP port 53 to 10.244.0.5,10.244.0.9
   4  delete loadbalancer 10.96.0.10:53/UDP
   5  create loadbalancer 10.96.0.10:53/UDP port 53 to 10.244.0.5,10.244.0.9
   6  delete loadbalancer 10.96.12.40:9182/TCP
   7  delete endpoint 10.244.0.6
`
	if diff := cmp.Diff(want, plan()); diff != "" {
		t.Errorf("plan for two edits (-want +got):\n%s", diff)
	}
	after, err := os.ReadFile(state)
	if err != nil || string(after) != string(before) {
		t.Errorf("the plan changed the state file, %v", err)
	}
	if _, _, err := execute(t, "plan", "--objects", dir, "--emulator-state", state+"x"); err == nil {
		t.Error("no error for a state file that does not exist")
	}
}
