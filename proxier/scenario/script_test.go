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

// script is a scenario with what an update writes into it.
type script struct {
	*Script
	// recorded are the golden texts of an update, by section and network; names keeps the
	// order in which they came.
	recorded map[string]map[string]string
	names    []string
}

func readScript(file string) (*script, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseScript(file, data)
}

func parseScript(file string, data []byte) (*script, error) {
	s, err := Parse(file, data)
	if err != nil {
		return nil, err
	}
	for _, l := range s.Lines {
		if commands()[l.Words[0]].run == nil {
			return nil, fmt.Errorf("%s:%d: unknown command %q", file, l.Number, l.Words[0])
		}
	}
	return &script{Script: s, recorded: map[string]map[string]string{}}, nil
}

// run carries the script out in one way, and returns how many calls failed on purpose.
func (s *script) run(t *testing.T, how Way) int {
	t.Helper()
	w := newWorld(t, s, how)
	for _, l := range s.Lines {
		if !l.Holds(how) {
			continue
		}
		c := commands()[l.Words[0]]
		if c.plainOnly && !how.Plain() {
			continue
		}
		w.at = s.At(l)
		if !c.check {
			w.changed()
		}
		if err := c.run(w, l.Words[1:]); err != nil {
			t.Fatalf("%s: %v", w.at, err)
		}
	}
	w.at = s.File + ": at the end"
	w.settle()
	w.checkLaws()
	return w.failures()
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
		if _, ok := byNetwork[w.way.Network]; !ok {
			byNetwork[w.way.Network] = got
		}
		return
	}
	want, err := w.script.Section(name, w.way.Network)
	if err != nil {
		w.t.Fatalf("%s: %v; run with -update and read it", w.at, err)
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
	return os.WriteFile(s.File, txtar.Format(s.Archive), 0o644)
}

// replace puts the texts in the place of all sections of a name.
func (s *script) replace(name string, texts map[string]string) {
	at := len(s.Archive.Files)
	isOld := func(f txtar.File) bool {
		return f.Name == name || slices.ContainsFunc(Networks(), func(n string) bool { return f.Name == name+"."+n })
	}
	if i := slices.IndexFunc(s.Archive.Files, isOld); i >= 0 {
		at = i
	}
	s.Archive.Files = slices.DeleteFunc(s.Archive.Files, isOld)
	for _, suffix := range append([]string{""}, Networks()...) {
		section := strings.TrimSuffix(name+"."+suffix, ".")
		if text, ok := texts[section]; ok {
			s.Archive.Files = slices.Insert(s.Archive.Files, at, txtar.File{Name: section, Data: []byte(text)})
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
