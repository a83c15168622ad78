// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package bundle makes one file of what is known of a node, on request without names.
package bundle

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Part is a file in a bundle.
type Part struct {
	Name string
	Body []byte
}

// Write writes a bundle.
func Write(w io.Writer, at time.Time, parts []Part) error {
	z := zip.NewWriter(w)
	for _, p := range parts {
		f, err := z.CreateHeader(&zip.FileHeader{Name: p.Name, Method: zip.Deflate, Modified: at})
		if err != nil {
			return err
		}
		if _, err := f.Write(p.Body); err != nil {
			return err
		}
	}
	return z.Close()
}

// Names replaces names, each by the same word wherever it stands.
type Names struct {
	words  map[string]string
	counts map[string]int
}

// NewNames returns no names.
func NewNames() *Names { return &Names{map[string]string{}, map[string]int{}} }

// Hide replaces a name from now on, by the kind of thing that it is of and a number.
func (n *Names) Hide(kind, name string) {
	if name == "" || n.words[name] != "" {
		return
	}
	n.counts[kind]++
	n.words[name] = fmt.Sprintf("%s-%d", kind, n.counts[kind])
}

// Apply replaces the names in a part. In JSON, keys stay.
func (n *Names) Apply(p Part) (Part, error) {
	if !strings.HasSuffix(p.Name, ".json") {
		return Part{p.Name, []byte(n.text(string(p.Body)))}, nil
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(p.Body))
	d.UseNumber() // numbers stay as they are written
	if err := d.Decode(&v); err != nil {
		return p, fmt.Errorf("%s: %w", p.Name, err)
	}
	body, err := json.MarshalIndent(n.value(v), "", "  ")
	return Part{p.Name, body}, err
}

func (n *Names) value(v any) any {
	switch v := v.(type) {
	case string:
		return n.text(v)
	case []any:
		for i := range v {
			v[i] = n.value(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = n.value(v[k])
		}
	}
	return v
}

// text replaces the words of a text that are names. A text that is a name as a whole may have
// any characters.
func (n *Names) text(s string) string {
	if word := n.words[s]; word != "" {
		return word
	}
	var b strings.Builder
	for s != "" {
		end := strings.IndexFunc(s, func(r rune) bool { return !inName(r) })
		switch {
		case end < 0:
			end = len(s)
		case end == 0:
			next := strings.IndexFunc(s, inName)
			if next < 0 {
				next = len(s)
			}
			b.WriteString(s[:next])
			s = s[next:]
			continue
		}
		word := n.words[s[:end]]
		if word == "" {
			word = s[:end]
		}
		b.WriteString(word)
		s = s[end:]
	}
	return b.String()
}

func inName(r rune) bool {
	return r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127
}
