// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package printable_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"github.com/hnsproxy/hnsproxy/internal/printable"
	"pgregory.net/rapid"
)

func TestText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"shop/web", "shop/web"},
		{`C:\k\config and \x1b in words`, `C:\k\config and \x1b in words`},
		{"Grüße, 世界 \u00a0 \u3000 \ufffd é", "Grüße, 世界 \u00a0 \u3000 \ufffd é"},
		{"\x1b]0;x\x07", `\x1b]0;x\x07`},
		{"\x1b[2J", `\x1b[2J`},
		{"\r\nI1124 forged", `\r\nI1124 forged`},
		{"a\tb\x00c\x7f", `a\tb\x00c\x7f`},
		{"\u202egnp.exe\u2066", `\u202egnp.exe\u2066`},
		{"\u009b31m\u0085", `\u009b31m\u0085`},
		{"\u2028 \u2029 \ufeff \u200b", `\u2028 \u2029 \ufeff \u200b`},
		{"\U000e0041 \ue000 \U0010ffff", `\U000e0041 \ue000 \U0010ffff`},
		{"\xff ä \xc3", `\xff ä \xc3`},
		{"\x9b31m", `\x9b31m`},
		{"\xed\xa0\x80", `\xed\xa0\x80`},
	} {
		if got := printable.Text(tt.in); got != tt.want {
			t.Errorf("Text(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// raw finds the first rune that must not get out, but for those allowed.
func raw(s, allowed string) (rune, bool) {
	for i, r := range s {
		_, size := utf8.DecodeRuneInString(s[i:])
		bad := unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Cs) || r == utf8.RuneError && size == 1
		if bad && !strings.ContainsRune(allowed, r) {
			return r, true
		}
	}
	return 0, false
}

// anyText draws clean and hostile runes, and bytes that are no UTF-8.
func anyText() *rapid.Generator[string] {
	hostile := []rune("\x1b\x07\r\n\t\x00\x7f\u0085\u009b\u200b\u202e\u2028\u2066\ufeff\U000e0041")
	return rapid.Custom(func(t *rapid.T) string {
		runes := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom(hostile))).Draw(t, "runes")
		if rapid.Bool().Draw(t, "with bytes") {
			runes += string(rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "bytes"))
		}
		return runes + rapid.String().Draw(t, "rest")
	})
}

func TestTextProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := anyText().Draw(t, "text")
		out := printable.Text(in)
		if r, bad := raw(out, ""); bad {
			t.Fatalf("Text(%q) holds %U", in, r)
		}
		if again := printable.Text(out); unsafe.StringData(again) != unsafe.StringData(out) || again != out {
			t.Fatalf("clean text %q is not returned as it is", out)
		}
		if _, bad := raw(printable.Lines(in), "\n"); bad {
			t.Fatalf("Lines(%q) = %q", in, printable.Lines(in))
		}
		for i, line := range strings.Split(printable.Lines(in), "\n") {
			if i > 0 && line != "" && line[0] != ' ' {
				t.Fatalf("Lines(%q): line %d is %q, want it indented", in, i, line)
			}
		}
	})
}

func TestJSONProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := anyText().Draw(t, "text")
		doc, err := json.MarshalIndent(map[string]string{"k": in}, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		out := printable.JSON(doc)
		if r, bad := raw(string(out), "\n\t"); bad {
			t.Fatalf("JSON(%q) holds %U", doc, r)
		}
		var before, after map[string]string
		if err := errors.Join(json.Unmarshal(doc, &before), json.Unmarshal(out, &after)); err != nil || before["k"] != after["k"] {
			t.Fatalf("%q means %q, and %q afterwards, %v", doc, before, after, err)
		}
	})
}

// TestCleanTextIsFree: names are nearly always clean.
func TestCleanTextIsFree(t *testing.T) {
	text := strings.Repeat("shop/web Grüße 世界 ", 50)
	doc := []byte(`{"name": "` + text + "\"}\n")
	if n := testing.AllocsPerRun(100, func() {
		if printable.Text(text) != text || len(printable.JSON(doc)) != len(doc) {
			t.Error("clean text is changed")
		}
	}); n != 0 {
		t.Errorf("%v allocations for clean text, want none", n)
	}
}

// TestRecords: a record stays one line, whatever is in it, and the writer answers for what
// it was given.
func TestRecords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"I1124 clean\n", "I1124 clean\n"},
		{"without end", "without end"},
		{"E1 err=<\n\tone\r\n\tI1124 forged\x1b[2J\n >\n", `E1 err=<\n\tone\r\n\tI1124 forged\x1b[2J\n >` + "\n"},
	} {
		var out bytes.Buffer
		if n, err := printable.Records(&out).Write([]byte(tt.in)); n != len(tt.in) || err != nil {
			t.Errorf("Write(%q) = %d, %v", tt.in, n, err)
		}
		if out.String() != tt.want {
			t.Errorf("record %q, want %q", out.String(), tt.want)
		}
	}
	var out bytes.Buffer
	_, _ = printable.JSONRecords(&out).Write([]byte("{\"a\":\"\u202e\"}\n{\"b\":\"\u009b\"}\n")) // a buffer takes all
	if want := "{\"a\":\"\\u202e\"}\n{\"b\":\"\\u009b\"}\n"; out.String() != want {
		t.Errorf("records %q, want %q", out.String(), want)
	}
	if n, err := printable.Records(broken{}).Write([]byte("x")); n != 0 || !errors.Is(err, errBroken) {
		t.Errorf("Write into a broken pipe = %d, %v", n, err)
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestLines(t *testing.T) {
	t.Parallel()
	in := "invalid command line:\n  --a=\x1b[2J: is wrong\nE1124 forged\r\n\nend\n"
	want := "invalid command line:\n  --a=\\x1b[2J: is wrong\n  E1124 forged\\r\n\n  end"
	if got := printable.Lines(in); got != want {
		t.Errorf("Lines = %q, want %q", got, want)
	}
}
