// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/snapshot"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/spf13/pflag"
)

// stateFile is the part of a bundle that holds what HNS held.
const stateFile = "hns.json"

// source is the HNS that a command looks at: that of options, or one in a file.
type source struct {
	command *options.CommandLine
	file    string
}

// addFlags adds the flags that name it.
func (s *source) addFlags(sets *options.FlagSets, what string) {
	sets.FlagSet(what).StringVarP(&s.file, "file", "f", "", "`FILE` to look at in place of this machine's HNS: a bundle of hnsproxy dump, "+
		"the hns.json in it, or a state file of the emulator.")
	s.command.AddNodeFlags(sets.FlagSet("node and network"))
	s.command.AddHNSFlags(sets.FlagSet("hnsproxy"))
	s.command.AddEmulatorFlags(sets.FlagSet("hnsproxy"))
}

// options resolves the flags.
func (s *source) options(h Host) (*options.Options, error) {
	r, err := s.command.Resolve(h.Environment)
	if err != nil {
		return nil, err
	}
	return r.Options, nil
}

// take returns what the HNS holds.
func (s *source) take(ctx context.Context, h Host) (snapshot.Snapshot, error) {
	if s.file != "" {
		return ReadFile(s.file) // wherever this is
	}
	o, err := s.options(h)
	if err != nil {
		return snapshot.Snapshot{}, err
	}
	hns, err := h.HNS(ctx, o)
	if err != nil {
		return snapshot.Snapshot{}, err
	}
	return hns.take(ctx, h)
}

// take lists the HNS.
func (hns HNS) take(ctx context.Context, h Host) (snapshot.Snapshot, error) {
	s, err := snapshot.Take(ctx, hns.Driver, hns.Names)
	s.Build, s.Time = hns.Build, h.Now()
	return s, err
}

// ReadFile reads a snapshot from a file or a bundle.
func ReadFile(path string) (snapshot.Snapshot, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return snapshot.Snapshot{}, fmt.Errorf("--file: %w", err)
	}
	if bytes.HasPrefix(body, []byte("PK")) {
		if body, err = inBundle(body, stateFile); err != nil {
			return snapshot.Snapshot{}, fmt.Errorf("--file: %s: %w", path, err)
		}
	}
	s, err := snapshot.Read(body)
	if err != nil {
		return s, fmt.Errorf("--file: %s %w", path, err)
	}
	return s, nil
}

// inBundle returns a part of a bundle.
func inBundle(body []byte, name string) ([]byte, error) {
	z, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return nil, err
	}
	f, err := z.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return io.ReadAll(io.LimitReader(f, longestAnswer))
}

// newSource returns a source of a command's own.
func newSource() source { return source{command: options.NewCommandLine()} }

// addOutput adds the flag that chooses how to print.
func addOutput(fs *pflag.FlagSet, format *string) {
	fs.StringVarP(format, "output", "o", *format, "`FORMAT` of the answer: text, json or yaml.")
}
