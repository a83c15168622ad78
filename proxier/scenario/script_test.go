// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// script is one scenario: commands, and the sections they name.
type script struct {
	file    string
	archive *txtar.Archive
	only    []string
	lines   []scriptLine
	// recorded are the golden texts of an update, by section and network; names keeps the
	// order in which they came.
	recorded map[string]map[string]string
	names    []string
}

// scriptLine is one command with its conditions.
type scriptLine struct {
	number     int
	conditions []string
	words      []string
}

func readScript(file string) (*script, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseScript(file, data)
}

// parseScript reads a script. Errors name file and line.
func parseScript(file string, data []byte) (*script, error) {
	s := &script{file: file, archive: txtar.Parse(data), recorded: map[string]map[string]string{}}
	for i, text := range strings.Split(string(s.archive.Comment), "\n") {
		text, _, _ = strings.Cut(text, "# ")
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if err := s.parseLine(i+1, text); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
	}
	return s, nil
}

func (s *script) parseLine(number int, text string) error {
	l := scriptLine{number: number}
	if rest, ok := strings.CutPrefix(text, "["); ok {
		inside, command, ok := strings.Cut(rest, "]")
		if !ok {
			return fmt.Errorf("condition without ]")
		}
		l.conditions, text = strings.Fields(inside), command
	}
	for _, c := range l.conditions {
		if c = strings.TrimPrefix(c, "!"); !knownWord(c) {
			return fmt.Errorf("%q is no network, profile or variant", c)
		}
	}
	l.words = strings.Fields(text)
	if len(l.words) == 0 {
		return fmt.Errorf("condition without command")
	}
	if l.words[0] != "only" {
		if commands()[l.words[0]].run == nil {
			return fmt.Errorf("unknown command %q", l.words[0])
		}
		s.lines = append(s.lines, l)
		return nil
	}
	if len(s.lines) > 0 {
		return fmt.Errorf("only comes before all commands")
	}
	for _, word := range l.words[1:] {
		if !knownWord(word) || word == "faulty" {
			return fmt.Errorf("only: %q is no network, profile or variant", word)
		}
		s.only = append(s.only, word)
	}
	return nil
}

// wants tells whether the script runs with one of the words of a kind: it does unless
// "only" names others of that kind.
func (s *script) wants(kind []string, word string) bool {
	named := slices.ContainsFunc(s.only, func(o string) bool { return slices.Contains(kind, o) })
	return !named || slices.Contains(s.only, word)
}

// profiles returns the Windows releases that the script runs on.
func (s *script) profiles() []string {
	if all := profileNames(); slices.ContainsFunc(s.only, func(o string) bool { return slices.Contains(all, o) }) {
		return slices.DeleteFunc(all, func(p string) bool { return !slices.Contains(s.only, p) })
	}
	return profiles()
}

// run carries the script out in one way, and returns how many calls failed on purpose.
func (s *script) run(t *testing.T, how way) int {
	t.Helper()
	w := newWorld(t, s, how)
	for _, l := range s.lines {
		if !l.holds(how) {
			continue
		}
		c := commands()[l.words[0]]
		if c.plainOnly && !how.plain() {
			continue
		}
		w.at = fmt.Sprintf("%s:%d: %s", s.file, l.number, strings.Join(l.words, " "))
		if !c.check {
			w.changed()
		}
		if err := c.run(w, l.words[1:]); err != nil {
			t.Fatalf("%s: %v", w.at, err)
		}
	}
	w.at = s.file + ": at the end"
	w.settle()
	w.checkLaws()
	return w.failures()
}

func (l scriptLine) holds(how way) bool {
	for _, c := range l.conditions {
		name, not := strings.CutPrefix(c, "!")
		if how.is(name) == not {
			return false
		}
	}
	return true
}

// section returns the text of a section; one that ends in the network's name goes first.
func (s *script) section(name, network string) (string, bool) {
	for _, want := range []string{name + "." + network, name} {
		for _, f := range s.archive.Files {
			if f.Name == want {
				return string(f.Data), true
			}
		}
	}
	return "", false
}

// golden compares a text with its section, or records it when goldens are rewritten.
func (w *world) golden(name, got string) {
	w.t.Helper()
	if *update {
		byNetwork := w.script.recorded[name]
		if byNetwork == nil {
			byNetwork = map[string]string{}
			w.script.recorded[name] = byNetwork
			w.script.names = append(w.script.names, name)
		}
		if _, ok := byNetwork[w.way.network]; !ok {
			byNetwork[w.way.network] = got
		}
		return
	}
	want, ok := w.script.section(name, w.way.network)
	if !ok {
		w.t.Fatalf("%s: no section %q; run with -update and read it", w.at, name)
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", w.at, diff)
	}
}

// save writes the recorded golden texts: one section where the networks agree, one for
// each where they do not.
func (s *script) save() error {
	for _, name := range s.names {
		byNetwork := s.recorded[name]
		texts := map[string]string{}
		for network, text := range byNetwork {
			texts[name+"."+network] = text
		}
		l2, overlay := byNetwork["l2bridge"], byNetwork["overlay"]
		if len(byNetwork) == 1 || l2 == overlay {
			texts = map[string]string{name: max(l2, overlay)}
		}
		s.replace(name, texts)
	}
	return os.WriteFile(s.file, txtar.Format(s.archive), 0o644)
}

// replace puts the texts in the place of all sections of a name.
func (s *script) replace(name string, texts map[string]string) {
	at := len(s.archive.Files)
	isOld := func(f txtar.File) bool {
		return f.Name == name || slices.ContainsFunc(networks(), func(n string) bool { return f.Name == name+"."+n })
	}
	if i := slices.IndexFunc(s.archive.Files, isOld); i >= 0 {
		at = i
	}
	s.archive.Files = slices.DeleteFunc(s.archive.Files, isOld)
	for _, suffix := range append([]string{""}, networks()...) {
		section := strings.TrimSuffix(name+"."+suffix, ".")
		if text, ok := texts[section]; ok {
			s.archive.Files = slices.Insert(s.archive.Files, at, txtar.File{Name: section, Data: []byte(text)})
			at++
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
