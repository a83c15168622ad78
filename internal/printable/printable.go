// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package printable makes text from strangers fit for logs, terminals, Events and HTTP
// bodies. Names in files, messages of HNS and quotes in the messages of parsers may hold
// control characters, with which they would move the cursor, retitle the terminal, reverse
// the order of a line or add lines to a log that the program never wrote.
//
// What is not printable becomes an escape that can be seen, such as \x1b or \u202e. Plain
// backslashes stay as they are, so an escape tells what was there but cannot be read back.
package printable

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns s on one line and without anything that is not printable: control and format
// characters, among them those that change the direction of writing, line separators,
// code points without a character, and bytes that are no UTF-8. Clean text is returned as it
// is, without an allocation.
func Text(s string) string {
	start := firstUnprintable(s)
	if start < 0 {
		return s
	}
	out := make([]byte, 0, len(s)+16)
	out = append(out, s[:start]...)
	for i := start; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case invalid(r, size):
			out = appendHex(append(out, `\x`...), rune(s[i]), 2)
		case printable(r):
			out = append(out, s[i:i+size]...)
		default:
			out = appendEscape(out, r)
		}
		i += size
	}
	return string(out)
}

// Lines is Text for a message of several lines that stays so, with all but the first
// indented: no line but the first one begins as the text wants it to.
func Lines(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, line := range lines {
		if i > 0 && line != "" && !strings.HasPrefix(line, " ") {
			line = "  " + line
		}
		lines[i] = Text(line)
	}
	return strings.Join(lines, "\n")
}

func firstUnprintable(s string) int {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if !printableASCII(c) {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if invalid(r, size) || !printable(r) {
			return i
		}
		i += size
	}
	return -1
}

func printableASCII(c byte) bool { return c >= ' ' && c <= '~' }

// printable tells whether r is a letter, mark, number, punctuation, symbol or space. A
// format character (Cf) is none of these, nor is a line separator.
func printable(r rune) bool { return unicode.IsGraphic(r) }

// invalid tells whether decoding gave r for a byte that is no UTF-8, rather than for the
// replacement character itself.
func invalid(r rune, size int) bool { return r == utf8.RuneError && size <= 1 }

func appendEscape(out []byte, r rune) []byte {
	switch {
	case r == '\n':
		return append(out, `\n`...)
	case r == '\r':
		return append(out, `\r`...)
	case r == '\t':
		return append(out, `\t`...)
	case r < utf8.RuneSelf:
		return appendHex(append(out, `\x`...), r, 2)
	case r <= 0xffff:
		return appendHex(append(out, `\u`...), r, 4)
	}
	return appendHex(append(out, `\U`...), r, 8)
}

func appendHex(out []byte, r rune, digits int) []byte {
	const hex = "0123456789abcdef"
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		out = append(out, hex[r>>shift&0xf])
	}
	return out
}
