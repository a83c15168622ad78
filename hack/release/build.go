// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// built is one version of hnsproxy.
type built struct {
	version, revision string
	// date is that of the commit; files of archives get it.
	date     time.Time
	license  []byte
	programs []program
}

// program is hnsproxy for one architecture.
type program struct {
	arch     string
	exe      []byte
	modules  []module
	licenses []byte
}

// module is a Go module that is part of a program.
type module struct {
	path, version, sum string
	// license is an SPDX identifier, text what the licence demands to be passed on.
	license string
	text    string
}

// build compiles the repository at root for each architecture.
func build(root, version string, arches []string) (*built, error) {
	b := &built{version: version}
	commit, err := run(root, nil, "git", "log", "-1", "--format=%H %ct")
	if err != nil {
		return nil, err
	}
	revision, stamp, _ := strings.Cut(strings.TrimSpace(string(commit)), " ")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the date of commit %s: %w", revision, err)
	}
	b.revision, b.date = revision, time.Unix(seconds, 0).UTC()
	if b.license, err = os.ReadFile(filepath.Join(root, "LICENSE")); err != nil {
		return nil, err
	}
	for _, arch := range arches {
		p, err := compile(root, arch)
		if err != nil {
			return nil, fmt.Errorf("build for %s: %w", arch, err)
		}
		b.programs = append(b.programs, p)
	}
	return b, nil
}

func compile(root, arch string) (program, error) {
	dir, err := os.MkdirTemp("", "hnsproxy-build-")
	if err != nil {
		return program{}, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the directory for leftovers
	env := []string{"GOOS=windows", "GOARCH=" + arch, "CGO_ENABLED=0"}
	path := filepath.Join(dir, "hnsproxy.exe")
	if _, err := run(root, env, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./cmd/hnsproxy"); err != nil {
		return program{}, err
	}
	p := program{arch: arch}
	if p.exe, err = os.ReadFile(path); err != nil {
		return program{}, err
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return program{}, err
	}
	if p.modules, err = findModules(root, env, info); err != nil {
		return program{}, err
	}
	p.licenses = licenseText(p.modules)
	return p, nil
}

// findModules are the modules that the program says it was made of, with their licences, and the one of Go itself.
func findModules(root string, env []string, info *debug.BuildInfo) ([]module, error) {
	listed, err := run(root, env, "go", "list", "-m", "-json", "all")
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(listed)); ; {
		var m struct{ Path, Version, Dir string }
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		dirs[m.Path+"@"+m.Version] = m.Dir
	}
	goroot, err := run(root, env, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	modules := []module{{path: "std", version: strings.TrimPrefix(info.GoVersion, "go")}}
	dirs["std@"+modules[0].version] = strings.TrimSpace(string(goroot))
	for _, m := range info.Deps {
		modules = append(modules, module{path: m.Path, version: m.Version, sum: m.Sum})
	}
	for i := range modules {
		if err := modules[i].readLicense(dirs[modules[i].path+"@"+modules[i].version]); err != nil {
			return nil, err
		}
	}
	return modules, nil
}

func (m *module) readLicense(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("the licence of %s: %w", m.path, err)
	}
	for _, entry := range entries {
		name := strings.ToUpper(entry.Name())
		if entry.IsDir() || !slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS"},
			func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return err
		}
		if m.license == "" {
			m.license = identify(string(text))
		}
		m.text += string(text) + "\n"
	}
	if m.license == "" {
		return fmt.Errorf("the licence of %s, in %s, is none that identify knows", m.path, dir)
	}
	return nil
}

// identify returns the SPDX identifier of a licence's text, "" if it is none of those that modules of hnsproxy have.
func identify(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	has := func(part string) bool { return strings.Contains(text, part) }
	switch {
	case has("Apache License Version 2.0"):
		return "Apache-2.0"
	case has("Mozilla Public License Version 2.0"), has("Mozilla Public License, version 2.0"):
		return "MPL-2.0"
	case has("Permission is hereby granted, free of charge"):
		return "MIT"
	case has("Permission to use, copy, modify, and/or distribute this software"), has("Permission to use, copy, modify, and distribute this software"):
		return "ISC"
	case has("Redistribution and use in source and binary forms") && (has("Neither the name") || has("names of its contributors")):
		return "BSD-3-Clause"
	case has("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause"
	}
	return ""
}

func licenseText(modules []module) []byte {
	var b bytes.Buffer
	b.WriteString("hnsproxy contains the following Go modules, under these licences.\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "\n%s\n%s %s (%s)\n\n%s", strings.Repeat("=", 80), m.path, m.version, m.license, m.text)
	}
	return b.Bytes()
}

// run runs a program in a directory, and returns what it writes.
func run(dir string, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, &stderr)
	}
	return out, nil
}
