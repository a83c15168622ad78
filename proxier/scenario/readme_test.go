// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// TestSemanticsDocument: the scenarios and reasons that the table of Service semantics names
// exist, and none of the reasons that users can be told is missing beside it.
func TestSemanticsDocument(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Service semantics")
	table, _, _ = strings.Cut(table, "## How it is proven")
	files := 0
	for _, name := range regexp.MustCompile("`([a-z0-9]+(-[a-z0-9]+)+)`").FindAllStringSubmatch(table, -1) {
		if strings.HasPrefix(name[1], "ws20") {
			continue // a profile
		}
		files++
		if _, err := os.Stat(filepath.Join("testdata", name[1]+".txtar")); err != nil {
			t.Errorf("there is no scenario %q", name[1])
		}
	}
	if files < 33 {
		t.Errorf("found %d names of scenarios, want one for each of the 33 rows", files)
	}
	for _, file := range regexp.MustCompile("`\\.\\./([a-z0-9/_]+_test\\.go)`").FindAllStringSubmatch(table, -1) {
		if _, err := os.Stat(filepath.Join("..", "..", file[1])); err != nil {
			t.Errorf("there is no test %s", file[1])
		}
	}
	for r := range desired.EventPolicies() {
		if !strings.Contains(table, "`"+string(r)+"`") {
			t.Errorf("the table does not name the reason %s", r)
		}
	}
}
