// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package printabletest has text that must not get out as it is, for tests of all places where
// text gets out.
package printabletest

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Hostile is what a stranger may write: a window title, a cleared screen, a second line, a
// change of direction, a colour in the second set of control characters, and no UTF-8.
const Hostile = "\x1b]0;x\x07 \x1b[2J \r\nI1124 forged \u202e \u009b31m \xff"

// Escaped is Hostile as it is shown.
const Escaped = `\x1b]0;x\x07 \x1b[2J \r\nI1124 forged \u202e \u009b31m \xff`

// WantClean fails if text lacks a part, or holds a character that must not get out.
func WantClean(t *testing.T, sink, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("%s lacks %q:\n%q", sink, part, text)
	}
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		if r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError && size == 1 {
			t.Errorf("%s holds %U:\n%q", sink, r, text)
			return
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "I1124 forged") {
			t.Errorf("%s has a forged line:\n%q", sink, text)
		}
	}
}
