// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package printable

import (
	"bytes"
	"io"
)

// Records returns a writer for a log of text, each Write of which must be one record. A
// record becomes one line: line breaks within it are escaped like all that is not printable,
// so that what stands in a record cannot pass for another one.
func Records(w io.Writer) io.Writer {
	return writer{w, func(record []byte) []byte {
		body, end := bytes.CutSuffix(record, []byte("\n"))
		text := string(body)
		if firstUnprintable(text) < 0 {
			return record
		}
		text = Text(text)
		if end {
			text += "\n"
		}
		return []byte(text)
	}}
}

// JSONRecords returns a writer for a log of JSON, whose encoder writes each record on one
// line.
func JSONRecords(w io.Writer) io.Writer { return writer{w, JSON} }

type writer struct {
	out   io.Writer
	clean func([]byte) []byte
}

// Write is part of io.Writer. It answers for p, not for the longer text that it wrote.
func (w writer) Write(p []byte) (int, error) {
	if _, err := w.out.Write(w.clean(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
