// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
)

// constants returns the values of the string constants of a type in the files of a folder,
// as its source has them: a new constant cannot be forgotten here.
func constants(t *testing.T, folder, typeName string) []string {
	t.Helper()
	var out []string
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != typeName {
				return true
			}
			for _, v := range spec.Values {
				value, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, value)
			}
			return true
		})
	}
	slices.Sort(out)
	if len(slices.Compact(slices.Clone(out))) != len(out) {
		t.Errorf("two constants of type %s have one value: %q", typeName, out)
	}
	return out
}

// TestEveryReasonIsTold: each Reason says whether it warns and how long it has to last,
// and is a word that the API takes as the reason of an Event.
func TestEveryReasonIsTold(t *testing.T) {
	var told []string
	for r := range maps.Keys(EventPolicies()) {
		if told = append(told, string(r)); !regexp.MustCompile(`^[A-Z][A-Za-z0-9]{2,63}$`).MatchString(string(r)) {
			t.Errorf("%q is no CamelCase word", r)
		}
	}
	slices.Sort(told)
	if diff := cmp.Diff(constants(t, ".", "Reason"), told); diff != "" {
		t.Errorf("EventPolicies and the constants differ (-constants +EventPolicies):\n%s", diff)
	}
}

// TestReasonsStandTogether: no other package makes up a Reason, which would have no Telling.
func TestReasonsStandTogether(t *testing.T) {
	made := regexp.MustCompile(`desired\.Reason\b *(=|\()|Reason: *"|desired\.Note\{"`)
	for _, root := range []string{"..", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for i, line := range strings.Split(string(text), "\n") {
				if made.MatchString(line) {
					t.Errorf("%s:%d: make it a constant of package desired: %s", path, i+1, strings.TrimSpace(line))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestFailureReason: each class of error has a Reason of its own.
func TestFailureReason(t *testing.T) {
	seen := map[Reason]string{}
	for _, class := range constants(t, "../../hnslb", "Class") {
		r := FailureReason(hnslb.Class(class))
		if other, ok := seen[r]; ok {
			t.Errorf("%s and %s are both %s", other, class, r)
		}
		seen[r] = class
	}
	if len(seen) < 8 {
		t.Errorf("only %d classes found", len(seen))
	}
}
