// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"fmt"
	"path/filepath"
	"time"
)

// content is one file as it was read.
type content struct {
	parsed
	file string
	// since is when this version of the file was first seen.
	since time.Time
	// doubted says that it may be a part of what is being saved, so that another look
	// at it is due.
	doubted bool
}

// merged is what all files together say.
type merged struct {
	objects map[key]entry
	// order has the keys of objects as they stand in the files.
	order []key
	// kept are objects that are named, or may be meant, but cannot be used.
	kept map[key]bool
	// torn are files and directories of which it cannot be told what is missing.
	torn map[string]bool
	// since is when each file was first seen as it is.
	since map[string]time.Time
	// doubted says that a file may be saved in part.
	doubted  bool
	problems []*Error
	skipped  map[string]int
}

// merge joins what the files say, which must be in the order of their weight. unread has
// what could not be read at all.
func merge(files []content, unread []*Error) merged {
	m := merged{
		objects: map[key]entry{}, kept: map[key]bool{}, torn: map[string]bool{},
		since: map[string]time.Time{}, problems: unread, skipped: map[string]int{},
	}
	for _, e := range unread {
		m.torn[e.Place.File] = true
	}
	claimed := map[key]Place{}
	for _, f := range files {
		m.problems = append(m.problems, f.problems...)
		m.since[f.file] = f.since
		m.doubted = m.doubted || f.doubted
		if f.torn {
			m.torn[f.file] = true
		}
		for kind, n := range f.skipped {
			m.skipped[kind] += n
		}
		for _, k := range f.held {
			m.kept[k] = true
		}
		for _, e := range f.entries {
			m.add(e, claimed)
		}
	}
	return m
}

func (m *merged) add(e entry, claimed map[key]Place) {
	if first, taken := claimed[e.key]; taken {
		m.problems = append(m.problems, duplicate(e, first))
		return
	}
	claimed[e.key] = e.at
	if e.object == nil {
		m.kept[e.key] = true
		return
	}
	m.objects[e.key] = e
	m.order = append(m.order, e.key)
}

func duplicate(e entry, first Place) *Error {
	out := &Error{
		Place: e.at, Kind: e.resource.kind().Kind, Object: e.name, Field: "metadata.name",
		Why:    fmt.Sprintf("duplicates the object in %s, which is used", first),
		Remedy: "remove or rename one of the two",
	}
	if e.namespace != "" {
		out.Object = e.namespace + "/" + e.name
	}
	return out
}

// missing tells whether the files say that an object which file once gave is gone.
func (m *merged) missing(k key, file string) bool {
	_, there := m.objects[k]
	return !there && !m.kept[k] && !m.torn[file] && !m.torn[filepath.Dir(file)]
}
