// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf16"

	"sigs.k8s.io/yaml"
)

// document is one document of a file, as JSON.
type document struct {
	json json.RawMessage
	// duplicate says which key stands twice; the later one counts.
	duplicate error
	// err says why the document cannot be read; json is empty then.
	err error
}

// chunk is the text between two separators.
type chunk struct {
	text []byte
	// line is the number of its first line in the file, from 1.
	line int
}

// documents reads all documents of a file. Empty ones are left out.
func documents(file []byte) []document {
	var out []document
	for _, c := range chunks(utf8Text(file)) {
		out = append(out, c.documents()...)
	}
	return out
}

// utf8Text returns the text of a file in UTF-8 without a byte order mark. Windows writes
// both: Notepad a mark, the redirection of PowerShell 5 UTF-16.
func utf8Text(file []byte) []byte {
	switch {
	case bytes.HasPrefix(file, []byte{0xef, 0xbb, 0xbf}):
		return file[3:]
	case bytes.HasPrefix(file, []byte{0xff, 0xfe}):
		return fromUTF16(file[2:], binary.LittleEndian)
	case bytes.HasPrefix(file, []byte{0xfe, 0xff}):
		return fromUTF16(file[2:], binary.BigEndian)
	}
	return file
}

func fromUTF16(file []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, 0, len(file)/2)
	for ; len(file) >= 2; file = file[2:] {
		units = append(units, order.Uint16(file))
	}
	return []byte(string(utf16.Decode(units)))
}

// chunks splits a file at the lines that separate YAML documents: "---", also with a
// comment behind it, and "...". Inside a document no line can start like that. JSON has no
// such lines either.
func chunks(file []byte) []chunk {
	out := []chunk{{line: 1}}
	number := 0
	for line := range bytes.Lines(file) {
		number++
		if separates(string(line)) {
			out = append(out, chunk{line: number + 1})
			continue
		}
		last := &out[len(out)-1]
		last.text = append(last.text, line...)
	}
	return out
}

func separates(line string) bool {
	rest, start := strings.CutPrefix(line, "---")
	if !start {
		rest, start = strings.CutPrefix(line, "...")
	}
	rest = strings.TrimSpace(rest)
	return start && (rest == "" || rest[0] == '#')
}

func (c chunk) documents() []document {
	if text := bytes.TrimSpace(c.text); len(text) > 0 && text[0] == '{' {
		// YAML may start like that too, so what is no JSON gets its second chance.
		if out, ok := jsonStream(text); ok {
			return out
		}
	}
	converted, err := yaml.YAMLToJSONStrict(c.text)
	var duplicate error
	if err != nil {
		if lenient, lenientErr := yaml.YAMLToJSON(c.text); lenientErr == nil {
			converted, duplicate, err = lenient, errors.New(c.say(err)), nil
		}
	}
	switch {
	case err != nil:
		return []document{{err: errors.New(c.say(err))}}
	case string(converted) == "null": // nothing but comments
		return nil
	}
	return []document{{json: converted, duplicate: duplicate}}
}

// say words an error of the YAML parser for someone who looks at the file.
func (c chunk) say(err error) string {
	text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	text = strings.ReplaceAll(strings.TrimPrefix(text, "yaml: "), "\n", " ")
	return inFile(strings.Join(strings.Fields(text), " "), c.line)
}

// jsonStream reads JSON values that follow each other. It is false when the first is none.
func jsonStream(text []byte) ([]document, bool) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	var out []document
	for {
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		switch {
		case errors.Is(err, io.EOF):
			return out, true
		case err != nil && len(out) == 0:
			return nil, false
		case err != nil:
			return append(out, document{err: err}), true
		}
		out = append(out, document{json: raw})
	}
}
