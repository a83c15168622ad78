// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package printable

import (
	"unicode/utf16"
	"unicode/utf8"
)

// JSON escapes in a JSON text what encoders leave as it is though it is not printable: DEL,
// the second set of control characters, and format characters. The result means the same;
// line breaks and tabs between its values stay.
func JSON(text []byte) []byte {
	start := firstUnprintableJSON(text)
	if start < 0 {
		return text
	}
	out := append(make([]byte, 0, len(text)+16), text[:start]...)
	for i := start; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case invalid(r, size):
			out = append(out, `\ufffd`...)
		case r == '\n', r == '\t', printable(r):
			out = append(out, text[i:i+size]...)
		case r <= 0xffff:
			out = appendHex(append(out, `\u`...), r, 4)
		default:
			high, low := utf16.EncodeRune(r)
			out = appendHex(append(out, `\u`...), high, 4)
			out = appendHex(append(out, `\u`...), low, 4)
		}
		i += size
	}
	return out
}

func firstUnprintableJSON(text []byte) int {
	for i := 0; i < len(text); {
		c := text[i]
		if printableASCII(c) || c == '\n' || c == '\t' {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if invalid(r, size) || !printable(r) {
			return i
		}
		i += size
	}
	return -1
}
