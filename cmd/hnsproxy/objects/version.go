// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"bytes"
	"crypto/sha256"
	"time"
)

// version is one file as it was at the last look.
type version struct {
	sum    [sha256.Size]byte
	parsed parsed
	shape  shape
	// since is when this version was first seen, looked when the file was last there.
	since, looked time.Time
	// whole is the shape of the last version that counted and could be read to its end.
	whole shape
}

// shape is what tells whether a file may be saved in part.
type shape struct {
	size int
	// blank says that nothing is in it, not even a comment.
	blank bool
	// open says that its last line has no end, and that it is not JSON, which shows by
	// itself when a part of it is missing.
	open bool
	// gives says that it has objects.
	gives bool
}

func shapeOf(data []byte, p parsed) shape {
	text := utf8Text(data)
	trimmed := bytes.TrimSpace(text)
	return shape{
		size:  len(text),
		blank: len(trimmed) == 0,
		open:  len(trimmed) > 0 && trimmed[0] != '{' && !bytes.HasSuffix(text, []byte("\n")),
		gives: len(p.entries) > 0,
	}
}

// cut says what shows that only a part of a file was saved, given the last version that
// counted; "" for nothing.
func (s shape) cut(whole shape) (why, remedy string) {
	switch {
	case s.blank && whole.gives:
		return "is empty, possibly because it is being written", "to delete its objects, remove the file or leave only a comment in it"
	case s.open && whole.gives && !whole.open:
		return "does not end with a newline, possibly because it is being written", "if the file is complete, end its last line"
	}
	return "", ""
}

// content returns what of a version counts now. While it may be a part of what is being
// saved, it names its objects, whose last good versions stay, and adds none. A version that
// became shorter may be such a part until it has not changed for the time of grace.
func (v *version) content(file string, now time.Time, grace time.Duration) content {
	out := content{file: file, parsed: v.parsed, since: v.since}
	why, remedy := v.shape.cut(v.whole)
	settled := now.Sub(v.since) >= grace
	if why == "" && (settled || v.shape.size >= v.whole.size) {
		if !v.parsed.torn {
			v.whole = v.shape
		}
		return out
	}
	out.doubted = !settled
	out.entries = make([]entry, 0, len(v.parsed.entries))
	for _, e := range v.parsed.entries {
		out.entries = append(out.entries, entry{key: e.key, at: e.at})
	}
	out.problems = nil
	if why != "" {
		out.torn = true
	}
	if why != "" && settled {
		out.problems = []*Error{{Place: Place{File: file}, Why: why, Remedy: "until it is saved completely, its last valid contents stay in effect; " + remedy}}
	}
	return out
}
