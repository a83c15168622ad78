// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestVersionIsThatOfTheModule holds Version equal to what hack/control-plane.sh reads from the module it builds.
func TestVersionIsThatOfTheModule(t *testing.T) {
	module, err := os.ReadFile("../kubernetes/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`(?m)^\s*(?:require )?k8s\.io/kubernetes (\S+)`).FindSubmatch(module)
	if match == nil || string(match[1]) != Version {
		t.Errorf("../kubernetes/go.mod requires k8s.io/kubernetes %q, Version is %s", match, Version)
	}
}

func TestStartNamesWhatIsMissing(t *testing.T) {
	t.Setenv("HNSPROXY_CACHE", t.TempDir())
	t.Setenv("PATH", "")
	plane, err := Start(t.Context(), t.TempDir())
	if err == nil {
		plane.Close()
		t.Fatal("a control plane without programs started")
	}
	for _, want := range []string{"etcd", "kube-apiserver " + Version, "kube-controller-manager " + Version, `"make e2e"`,
		"hack/control-plane.sh"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %s:\n%v", want, err)
		}
	}
}
