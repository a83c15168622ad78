// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		"":                     nil,
		"  a\tb  c ":           {"a", "b", "c"},
		`"C:\Program Files\x"`: {`C:\Program Files\x`},
		`a "" --x="b c"`:       {"a", "", "--x=b c"},
		`a\\b "c\\" d`:         {`a\\b`, `c\`, "d"},
		`a\"b c`:               {`a"b`, "c"},
		`"a""b" c`:             {`a"b c`},
		"\"\"\"\t":             {`"`},
		`"not closed\`:         {`not closed\`},
		`--feature-gates="WinDSR=true" --cluster-cidr=""`: {"--feature-gates=WinDSR=true", "--cluster-cidr="},
	} {
		if got := Split(line); !slices.Equal(got, want) {
			t.Errorf("Split(%q) is %q, want %q", line, got, want)
		}
	}
}

// TestJoin: a command line says the words that it was made of.
func TestJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.StringMatching(`[ab\\" \t-]{0,8}`)).Draw(t, "words")
		if got := Split(Join(words)); !slices.Equal(got, words) {
			t.Errorf("Split(%q) is %q, want %q", Join(words), got, words)
		}
	})
	words := []string{`C:\Program Files\x.exe`, "", "--a=b", `c"d e\`}
	if got, want := Join(words), `"C:\Program Files\x.exe" "" --a=b "c\"d e\\"`; got != want {
		t.Errorf("Join makes %s, want %s", got, want)
	}
}

func TestAsked(t *testing.T) {
	for args, want := range map[string]bool{
		"":                                        false,
		"--v=2":                                   false,
		"--windows-service":                       true,
		"--v=2 --windows_service=true":            true,
		"--windows-service=1":                     true,
		"--windows-service=":                      true,
		"--windows-service=false":                 false,
		"--windows-service --windows-service=f":   false,
		"--windows-service=maybe":                 true, // the error about it is told to the manager
		"--windows-services":                      false,
		"service install -- --windows-service":    false,
		"service install --name=windows-service":  false,
		"--config=x --windows-service --config=y": true,
	} {
		if got := Asked(strings.Fields(args)); got != want {
			t.Errorf("Asked(%s) is %v", args, got)
		}
	}
}

func TestIgnoredEvent(t *testing.T) {
	const ctrlC, closed, logoff, shutdown = 0, 2, 5, 6
	for _, tt := range []struct {
		event, session uint32
		want           bool
	}{
		{logoff, 0, true}, // somebody else's
		{logoff, 1, false},
		{shutdown, 0, false}, // a HostProcess container is ended so
		{ctrlC, 0, false},    // nssm ends its program so
		{closed, 0, false},
	} {
		if got := ignoredEvent(tt.event, tt.session); got != tt.want {
			t.Errorf("event %d in session %d is ignored: %v", tt.event, tt.session, got)
		}
	}
}
