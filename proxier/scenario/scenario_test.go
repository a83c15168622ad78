// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

var update = flag.Bool("update", false, "rewrite the golden sections of the scenarios; read the diff")

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
	for _, network := range Networks() {
		if !s.Wants(Networks(), network) {
			continue
		}
		t.Run(network, func(t *testing.T) {
			for _, name := range s.Profiles() {
				t.Run(name, func(t *testing.T) { runVariants(t, s, network, ProfileByName(name)) })
			}
		})
	}
}

func runVariants(t *testing.T, s *script, network string, p profiles.Profile) {
	t.Helper()
	for _, v := range Variants() {
		if !s.Wants(VariantNames(), v.Name) || *update && v.Name != "plain" {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			if !*update {
				t.Parallel()
			}
			synctest.Test(t, func(t *testing.T) { s.run(t, Way{network, p, v}) })
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
	for _, v := range Variants() {
		t.Run(v.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failed := s.run(t, Way{"l2bridge", profiles.WS2022(), v})
				if (failed > 0) != (v.Seed != 0) {
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
