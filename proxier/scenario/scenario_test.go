// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"flag"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

var update = flag.Bool("update", false, "rewrite the golden sections of the scenarios; read the diff")

// way is one way to run a script.
type way struct {
	network string
	profile emulator.Profile
	variant variant
}

// variant is how changes reach the proxy, and how often HNS fails.
type variant struct {
	name string
	// reverse hands the objects of an apply in reverse order, split lets the proxy finish
	// after each, double hands each one twice, squash ignores sync.
	reverse, split, double, squash bool
	// seed is the luck of a run in which writes fail; 0 for none. inHNS lets HNS itself
	// fail, else the driver does.
	seed  uint64
	inHNS bool
}

func networks() []string { return []string{"l2bridge", "overlay"} }

// profiles that a script runs on when it names none: without modify and with it.
func profiles() []string { return []string{"ws2022", "ws2025"} }

func variants() []variant {
	return []variant{
		{name: "plain"},
		{name: "reversed", reverse: true},
		{name: "split", split: true},
		{name: "doubled", double: true},
		{name: "squashed", squash: true},
		{name: "faulty-1", seed: 1, inHNS: true},
		{name: "faulty-2", seed: 2, inHNS: true},
		{name: "faulty-3", seed: 3},
		{name: "faulty-4", seed: 4},
	}
}

// plain tells whether calls, dark times and events are those that the script states.
func (w way) plain() bool { return w.variant.name == "plain" }

// is tells whether a word of a condition holds.
func (w way) is(word string) bool {
	switch word {
	case w.network, w.profile.Name, w.variant.name:
		return true
	case "faulty":
		return w.variant.seed != 0
	}
	return false
}

// TestScenarios runs each file of testdata in each way.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			s, err := readScript(file)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				t.Cleanup(func() {
					if err := s.save(); err != nil {
						t.Error(err)
					}
				})
			}
			runNetworks(t, s)
		})
	}
}

func runNetworks(t *testing.T, s *script) {
	t.Helper()
	for _, network := range networks() {
		if !s.wants(networks(), network) {
			continue
		}
		t.Run(network, func(t *testing.T) {
			for _, name := range s.profiles() {
				t.Run(name, func(t *testing.T) { runVariants(t, s, network, profileByName(name)) })
			}
		})
	}
}

func runVariants(t *testing.T, s *script, network string, p emulator.Profile) {
	t.Helper()
	var names []string
	for _, v := range variants() {
		names = append(names, v.name)
	}
	for _, v := range variants() {
		if !s.wants(names, v.name) || *update && v.name != "plain" {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			if !*update {
				t.Parallel()
			}
			synctest.Test(t, func(t *testing.T) { s.run(t, way{network, p, v}) })
		})
	}
}

// TestFailures: the runs with failures have some, and the others none, so that it is the
// proxy that copes.
func TestFailures(t *testing.T) {
	s, err := readScript("testdata/terminating-fallback.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failed := s.run(t, way{"l2bridge", emulator.WS2022(), v})
				if (failed > 0) != (v.seed != 0) {
					t.Errorf("%d calls failed", failed)
				}
			})
		})
	}
}

// TestReadmeNamesEveryCommand: a newcomer finds each command in the table.
func TestReadmeNamesEveryCommand(t *testing.T) {
	readme := readFile(t, "README.md")
	for name := range commands() {
		if !strings.Contains(readme, "| `"+name) {
			t.Errorf("README.md has no row for the command %q", name)
		}
	}
}

// TestScriptErrors: a mistake in a script is said with its line, never passed over.
func TestScriptErrors(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"only mars\n", "x:1: only: \"mars\" is no network, profile or variant"},
		{"\n[l2bridge calls none\n", "x:2: condition without ]"},
		{"[mars] sync\n", "x:1: \"mars\" is no network, profile or variant"},
		{"frobnicate\n", "x:1: unknown command \"frobnicate\""},
		{"sync\nonly overlay\n", "x:2: only comes before all commands"},
	} {
		_, err := parseScript("x", []byte(tc.text))
		if err == nil || err.Error() != tc.want {
			t.Errorf("%q: error %v, want %s", tc.text, err, tc.want)
		}
	}
}

// releases are the Windows releases that a script may name: those of the emulator, the one
// that has no DSR, Server 2019 before KB4580390, and one that holds on to UDP flows.
func releases() []emulator.Profile {
	noDSR, clinging := emulator.WS2019(), emulator.WS2025()
	noDSR.Name, noDSR.Version.Minor = "ws2019-rtm", 2
	clinging.Name, clinging.Quirks.UDPFlowsStay = "udp-flows-stay", true
	return append([]emulator.Profile{noDSR, clinging}, emulator.Profiles()...)
}

func profileNames() []string {
	var names []string
	for _, p := range releases() {
		names = append(names, p.Name)
	}
	return names
}

func profileByName(name string) emulator.Profile {
	return releases()[slices.Index(profileNames(), name)]
}

// knownWord tells whether a word can stand in a condition.
func knownWord(word string) bool {
	if word == "faulty" || slices.Contains(networks(), word) || slices.Contains(profileNames(), word) {
		return true
	}
	return slices.ContainsFunc(variants(), func(v variant) bool { return v.name == word })
}
