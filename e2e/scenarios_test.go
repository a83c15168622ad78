// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/proxier/scenario"
)

// unsuited are the scenarios that would not say the same with an API server and real time, with the reason.
func unsuited() map[string]string {
	const (
		faults  = "HNS fails, which would meet another call here"
		moments = "looks at moments of virtual time"
		ages    = "needs creation times of its own"
		asks    = "asks addresses that this machine does not have"
		refused = "the API server refuses the Service"
		flows   = "follows flows and counts calls, and no more"
	)
	return map[string]string{
		"answers-lost":                      faults,
		"bad-addresses":                     refused,
		"call-hangs":                        faults,
		"cluster-dns-made-anew":             moments,
		"degraded-load-balancer":            moments,
		"delete-fails-once-ws2019":          faults,
		"dns-first":                         moments,
		"endpoint-delete-lies":              faults,
		"endpoint-refused":                  faults,
		"events-once":                       "is about Events that come after minutes",
		"external-ip-conflict":              ages,
		"external-policy-local-without-dsr": "hnsproxy.exe ends where --enable-dsr has no support",
		"external-ip-conflict-same-age":     ages,
		"forward-healthcheck-vip":           asks,
		"half-made-load-balancer":           faults,
		"health-check-node-port":            asks,
		"hns-away":                          moments,
		"hns-restart-within-a-write":        moments,
		"ingress-ip-before-external-ip":     ages,
		"late-management-address":           moments,
		"late-network":                      moments,
		"modify-lies":                       faults,
		"node-port-conflict":                ages,
		"objects-vanish-during-a-list":      faults,
		"overlay-from-boot":                 moments,
		"overlay-node-joins":                moments,
		"overlay-route-never-comes":         moments,
		"overlay-without-source-vip":        "HNS holds nothing by which to tell that all changes were seen",
		"port-leak-ws2019":                  faults,
		"refused-addresses":                 refused,
		"restart-midway":                    moments,
		"restart-within-a-write":            moments,
		"stop-while-dark":                   moments,
		"udp-backend-gone":                  flows,
		"udp-target-port-changes":           flows,
		"virtual-node-overlay":              moments,
	}
}

// TestScenarios runs the scenarios of ../proxier/scenario against the API server. Their goldens are those of virtual time.
func TestScenarios(t *testing.T) {
	const dir = "../proxier/scenario/testdata"
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	listed, cluster := unsuited(), harness.NewScenarioCluster(t, plane)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		if _, ok := listed[name]; ok {
			delete(listed, name)
			continue
		}
		t.Run(name, func(t *testing.T) { runScenario(t, cluster, file) })
	}
	for name := range listed {
		t.Errorf("%s is listed and does not exist", name)
	}
	if suited := len(files) - len(unsuited()); suited < 45 {
		t.Errorf("%d of %d scenarios run", suited, len(files))
	}
}

func runScenario(t *testing.T, cluster *harness.ScenarioCluster, file string) {
	t.Helper()
	script, err := scenario.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	profiles := script.Profiles()
	if slices.Contains(profiles, "ws2025") {
		profiles = []string{"ws2025"}
	}
	for _, network := range scenario.Networks() {
		if !script.Wants(scenario.Networks(), network) {
			continue
		}
		for _, profile := range profiles {
			t.Run(network+"-"+profile, func(t *testing.T) {
				cluster.Run(t, script, scenario.Way{Network: network, Profile: scenario.ProfileByName(profile)})
			})
		}
	}
}
