// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestQuirksDocument: quirks.md names every switch, and only tests and switches that exist.
func TestQuirksDocument(t *testing.T) {
	doc, err := os.ReadFile("../quirks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, switches := range []any{profiles.Quirks{}, profiles.Faults{}} {
		typ := reflect.TypeOf(switches)
		for field := range typ.Fields() {
			if name := "`" + typ.Name() + "." + field.Name + "`"; !strings.Contains(string(doc), name) {
				t.Errorf("quirks.md does not name %s", name)
			}
		}
		for _, m := range regexp.MustCompile("`"+typ.Name()+`\.(\w+)`).FindAllStringSubmatch(string(doc), -1) {
			if _, ok := typ.FieldByName(m[1]); !ok && m[1] != "X" {
				t.Errorf("quirks.md names %s.%s, which does not exist", typ.Name(), m[1])
			}
		}
	}
	source := sources(t)
	_, tables, _ := strings.Cut(string(doc), "\n## ") // past the names of sources
	for _, m := range regexp.MustCompile("`(?:store\\.)?([A-Za-z]+)`").FindAllStringSubmatch(tables, -1) {
		if !regexp.MustCompile(`(?m)^(func|type) (\([^)]*\) )?` + m[1] + `\b`).MatchString(source) {
			t.Errorf("quirks.md names %s, which is neither a function nor a type here", m[1])
		}
	}
}

// sources returns all Go files of the emulator, of its profiles and of the packet model.
func sources(t *testing.T) string {
	t.Helper()
	own, err1 := filepath.Glob("*.go")
	shared, err2 := filepath.Glob("../profiles/*.go")
	model, err3 := filepath.Glob("../vfp/*.go")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range slices.Concat(own, shared, model) {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
