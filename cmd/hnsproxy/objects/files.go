// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
)

// stdin is the path that means standard input.
const stdin = "-"

// memory is how long it is remembered what a file was that is gone.
const memory = time.Minute

// remedyUnread goes with files that cannot be read.
const remedyUnread = "make it readable; until then its last valid contents stay in effect"

// reader reads files, and parses again only those that changed.
type reader struct {
	paths    []string
	validate func(runtime.Object) error
	grace    time.Duration
	seen     map[string]version
	// streams are what can be read one time only: standard input, and pipes that were
	// given in place of a file. They give what they gave forever.
	streams map[string]stream
}

type stream struct {
	data []byte
	err  error
}

// newReader makes a reader, and reads the streams to their end.
func newReader(o Options) *reader {
	r := &reader{validate: o.Validate, grace: o.Grace, seen: map[string]version{}, streams: map[string]stream{}}
	for _, path := range o.Paths {
		path = filepath.Clean(path)
		r.paths = append(r.paths, path)
		info, err := os.Stat(path)
		var s stream
		switch {
		case path == stdin && o.Stdin == nil:
			s.err = errors.New("no such file")
		case path == stdin:
			s.data, s.err = io.ReadAll(o.Stdin)
		case err != nil || info.IsDir() || info.Mode().IsRegular():
			continue
		default:
			s.data, s.err = os.ReadFile(path)
		}
		r.streams[path] = s
	}
	return r
}

// watched returns the paths that may change.
func (r *reader) watched() []string {
	return slices.DeleteFunc(slices.Clone(r.paths), func(path string) bool {
		_, is := r.streams[path]
		return is
	})
}

// read looks at all files, in the order of their weight.
func (r *reader) read(now time.Time) ([]content, []*Error) {
	var out []content
	var unread []*Error
	seen := map[string]version{}
	for _, path := range r.paths {
		files, err := r.expand(path)
		if err != nil {
			unread = append(unread, err)
		}
		for _, file := range files {
			if _, twice := seen[file]; twice {
				continue
			}
			v, err := r.file(file, now)
			switch {
			case err != nil:
				unread = append(unread, err)
				continue
			case v == nil:
				continue
			}
			out = append(out, v.content(file, now, r.grace))
			seen[file] = *v
		}
	}
	// A file that is gone may come back, at first in part.
	for file, v := range r.seen {
		if _, there := seen[file]; !there && now.Sub(v.looked) < memory {
			seen[file] = v
		}
	}
	r.seen = seen
	return out, unread
}

// expand returns the files behind a path: itself, or those of a directory.
func (r *reader) expand(path string) ([]string, *Error) {
	if s, is := r.streams[path]; is {
		if s.err != nil {
			return nil, unreadable(path, s.err)
		}
		return []string{path}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	var out []string
	for _, e := range entries { // in the order of their names
		if wantsFile(e.Name()) {
			out = append(out, filepath.Join(path, e.Name()))
		}
	}
	return out, nil
}

// wantsFile tells whether a file of a directory is read. Hidden ones belong to editors and
// to the kubelet, which puts the files of a ConfigMap behind "..data".
func wantsFile(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return !strings.HasPrefix(name, ".")
	}
	return false
}

// file reads one file. It is nil without an error when the file vanished meanwhile, or is
// no file in spite of its name.
func (r *reader) file(path string, now time.Time) (*version, *Error) {
	s, isStream := r.streams[path]
	data := s.data
	if !isStream {
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() {
			return nil, nil
		}
		if err == nil {
			data, err = os.ReadFile(path)
		}
		if vanished(path, err) {
			return nil, nil
		}
		if err != nil {
			return nil, unreadable(path, err)
		}
	}
	sum := sha256.Sum256(data)
	last, known := r.seen[path]
	if last.looked = now; known && last.sum == sum {
		return &last, nil
	}
	p := parse(path, data, r.validate)
	return &version{sum: sum, parsed: p, shape: shapeOf(data, p), since: now, looked: now, whole: last.whole}, nil
}

// vanished tells whether there is nothing at path. A link that leads nowhere is something.
func vanished(path string, err error) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	_, err = os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func unreadable(path string, err error) *Error {
	return &Error{Place: Place{File: path}, Why: "cannot be read: " + reason(err), Remedy: remedyUnread, Err: err}
}

// reason leaves out operation and path, which the message has already.
func reason(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
