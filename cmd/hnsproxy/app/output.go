// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"sigs.k8s.io/yaml"
)

// checkFormat rejects a format of --output that writeDocument does not support.
func checkFormat(format string) error {
	switch format {
	case "text", "json", "yaml":
		return nil
	}
	return options.Invalid("output", format, "unknown format", "use text, json or yaml")
}

// writeDocument prints a document in a format that checkFormat accepts. text returns it for people.
func writeDocument(w io.Writer, format string, document any, text func() string) error {
	var body []byte
	var err error
	switch format {
	case "json":
		body, err = json.MarshalIndent(document, "", "  ")
		body = append(printable.JSON(body), '\n')
	case "yaml":
		body, err = yamlOf(document)
	default:
		body = []byte(text())
	}
	if err != nil {
		return err
	}
	_, err = w.Write(body)
	return err
}

// yamlOf returns a document as YAML, by way of JSON as yaml.Marshal does. It escapes characters
// that break either step: the YAML parser rejects control characters that JSON leaves unescaped,
// and its encoder leaves format characters, which in a plain scalar become the text of their
// escapes.
func yamlOf(document any) ([]byte, error) {
	body, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	if body, err = yaml.JSONToYAML(printable.JSON(body)); err != nil {
		return nil, err
	}
	var b strings.Builder
	for line := range strings.Lines(string(body)) {
		b.WriteString(printable.Text(strings.TrimSuffix(line, "\n")) + "\n")
	}
	return []byte(b.String()), nil
}
