// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"
)

// Script is one scenario: commands, and the sections they name.
type Script struct {
	// File is where it was read, for errors.
	File    string
	Archive *txtar.Archive
	// Lines are the commands in their order.
	Lines []Line
	// only are the words of its first line.
	only []string
}

// Line is one command with its conditions.
type Line struct {
	// Number in the file, from 1.
	Number int
	// Words are the command and its arguments; there is at least one.
	Words      []string
	conditions []string
}

// Read reads a script. Errors name file and line.
func Read(file string) (*Script, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	return Parse(file, data)
}

// Parse is Read of a text. Which commands there are is for who runs the script to say.
func Parse(file string, data []byte) (*Script, error) {
	s := &Script{File: file, Archive: txtar.Parse(data)}
	for i, text := range strings.Split(string(s.Archive.Comment), "\n") {
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

func (s *Script) parseLine(number int, text string) error {
	l := Line{Number: number}
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
	l.Words = strings.Fields(text)
	if len(l.Words) == 0 {
		return fmt.Errorf("condition without command")
	}
	if l.Words[0] != "only" {
		s.Lines = append(s.Lines, l)
		return nil
	}
	if len(s.Lines) > 0 {
		return fmt.Errorf("only comes before all commands")
	}
	for _, word := range l.Words[1:] {
		if !knownWord(word) || word == "faulty" {
			return fmt.Errorf("only: %q is no network, profile or variant", word)
		}
		s.only = append(s.only, word)
	}
	return nil
}

// Wants tells whether the script runs with one of the words of a kind: it does unless
// "only" names others of that kind.
func (s *Script) Wants(kind []string, word string) bool {
	named := slices.ContainsFunc(s.only, func(o string) bool { return slices.Contains(kind, o) })
	return !named || slices.Contains(s.only, word)
}

// Profiles returns the Windows releases that the script runs on, see ProfileByName.
func (s *Script) Profiles() []string {
	if all := profileNames(); slices.ContainsFunc(s.only, func(o string) bool { return slices.Contains(all, o) }) {
		return slices.DeleteFunc(all, func(p string) bool { return !slices.Contains(s.only, p) })
	}
	return defaultProfiles()
}

// At names a line, for errors.
func (s *Script) At(l Line) string {
	return fmt.Sprintf("%s:%d: %s", s.File, l.Number, strings.Join(l.Words, " "))
}

// Holds tells whether the line's conditions do.
func (l Line) Holds(how Way) bool {
	for _, c := range l.conditions {
		name, not := strings.CutPrefix(c, "!")
		if how.is(name) == not {
			return false
		}
	}
	return true
}

// Section returns the text of a section; one that ends in the network's name goes first.
func (s *Script) Section(name, network string) (string, error) {
	for _, want := range []string{name + "." + network, name} {
		for _, f := range s.Archive.Files {
			if f.Name == want {
				return string(f.Data), nil
			}
		}
	}
	return "", fmt.Errorf("no section %q", name)
}

// Objects returns the objects of a section of YAML.
func (s *Script) Objects(section, network string) ([]Object, error) {
	text, err := s.Section(section, network)
	if err != nil {
		return nil, err
	}
	objects, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("section %s: %w", section, err)
	}
	return objects, nil
}
