// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFiles: each file can be run, and there is one for each kind.
func TestFiles(t *testing.T) {
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Kinds() {
		if !slices.ContainsFunc(all, func(s Scenario) bool { return s.Churn.Kind == k }) {
			t.Errorf("no scenario has churn of kind %s", k)
		}
	}
	for _, s := range all {
		if s.Description == "" {
			t.Errorf("scenario %s has no description", s.Name)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown field":       {"churn: {kind: steady, rat: 5}", `there is no field "rat"`},
		"field twice":         {"seed: 1\nseed: 2", "already set"},
		"no number":           {"cluster: {services: many}", "services"},
		"no time":             {"duration: soon", "30s"},
		"unknown kind":        {"churn: {kind: chaos}", "churn.kind"},
		"no rate":             {"churn: {rate: 0}", "churn.rate"},
		"field of other kind": {"churn: {kind: steady, size: 3}", "churn.size is set: it must be left out, since kind steady"},
		"missing field":       {"churn: {kind: rolling}", "churn.size is not set"},
		"unknown family":      {"cluster: {ipFamilies: [IPv5]}", "ipFamilies"},
		"family twice":        {"cluster: {ipFamilies: [IPv4, IPv4]}", "ipFamilies"},
		"too many slices":     {"cluster: {endpoints: 2, slices: 3}", "cluster.slices"},
		"unknown profile":     {"hns: {profile: ws1999}", "ws2022"},
		"unknown latency":     {"hns: {latency: some}", "hns.latency"},
		"IPv6 on an overlay":  {"cluster: {ipFamilies: [IPv6]}\nhns: {network: Overlay}", "overlay"},
		"program in process":  {"proxy: kube-proxy.exe", "apiserver"},
		"no cluster":          {"cluster: {services: 0}", "cluster.services"},
		"negative pause":      {"churn: {kind: restart, every: -1s}", "negative"},
		"unknown loss":        {"churn: {kind: hnsRestart, every: 5s, loses: [networks]}", "churn.loses"},
		"long restart":        {"churn: {kind: hnsRestart, every: 5s, down: 6s}", "churn.down"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mine.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Read(path)
			if err == nil {
				err = s.Validate()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "mine") {
				t.Errorf("error %v, want one that names the scenario and has %q", err, c.want)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	s, err := decode([]byte("cluster: {services: 7, ipFamilies: [IPv6]}"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Cluster.Services != 7 || s.Cluster.Endpoints != 10 || !slices.Equal(s.Cluster.IPFamilies, []string{"IPv6"}) {
		t.Errorf("cluster is %+v", s.Cluster)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	if s, err := Read("steady"); err != nil || s.Name != "steady" || s.Churn.Kind != Steady {
		t.Errorf("Read(steady) = %+v, %v", s, err)
	}
	for _, none := range []string{"stead", "./steady.yaml"} {
		if _, err := Read(none); err == nil || !strings.Contains(err.Error(), "hnsproxy-bench list") {
			t.Errorf("Read(%s): %v, want an error that says what there is", none, err)
		}
	}
}

// TestSteady: the file that explains all fields shows the values that they have by default.
func TestSteady(t *testing.T) {
	s, err := Read("steady")
	if err != nil {
		t.Fatal(err)
	}
	s.Name, s.Description = "", ""
	if diff := cmp.Diff(Default(), s); diff != "" {
		t.Errorf("steady.yaml (-default +file):\n%s", diff)
	}
}
