// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	codeBlock = regexp.MustCompile("(?ms)^[ ]*```.*?^[ ]*```[ ]*$")
	codeSpan  = regexp.MustCompile("`[^`\n]*`")
	link      = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	// GitHub makes the anchor of a heading from its letters, digits, dashes and underscores.
	noAnchor = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// Every relative link in a Markdown file leads to a file, and its fragment to a heading there.
func TestRelativeLinks(t *testing.T) {
	t.Parallel()
	n := 0
	for _, file := range markdownFiles(t) {
		for _, target := range linksIn(read(t, file)) {
			n++
			if why := broken(t, file, target); why != "" {
				t.Errorf("%s: link to %s: %s", file, target, why)
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d relative links found", n)
	}
}

func TestBrokenLinks(t *testing.T) {
	t.Parallel()
	for target, bad := range map[string]bool{
		"links_test.go":                false,
		"../README.md#test-it":         false,
		"#nothing-of-that-name":        true,
		"../README.md#no-such-heading": true,
		"no-such-file.md":              true,
	} {
		if why := broken(t, "architecture.md", target); (why != "") != bad {
			t.Errorf("%s: %q, want broken: %v", target, why, bad)
		}
	}
}

// markdownFiles lists the Markdown files of the repository, relative to this directory.
func markdownFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "bin"):
			return filepath.SkipDir
		case filepath.Ext(path) == ".md":
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// linksIn returns the targets of relative links.
func linksIn(text string) []string {
	text = codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(text, ""), "")
	var out []string
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		if u, err := url.Parse(m[1]); err != nil || u.Scheme == "" && u.Host == "" {
			out = append(out, m[1])
		}
	}
	return out
}

// broken says why a link of a file leads nowhere, "" if it leads somewhere.
func broken(t *testing.T, file, target string) string {
	t.Helper()
	path, fragment, _ := strings.Cut(target, "#")
	to := file
	if path != "" {
		to = filepath.Join(filepath.Dir(file), filepath.FromSlash(path))
	}
	if _, err := os.Stat(to); err != nil {
		return "no such file"
	}
	if fragment != "" && filepath.Ext(to) == ".md" && !slices.Contains(anchors(read(t, to)), fragment) {
		return "no such heading"
	}
	return ""
}

// anchors returns the fragments of the headings of a Markdown file.
func anchors(text string) []string {
	var out []string
	for _, m := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		name := noAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
		out = append(out, strings.ReplaceAll(strings.TrimSpace(name), " ", "-"))
	}
	return out
}
