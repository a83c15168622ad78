// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/internal/corpus"
	"github.com/spf13/pflag"
)

// wantInvalid fails unless an error is one about the input, complete with why and remedy.
func wantInvalid(t *testing.T, err error) {
	t.Helper()
	invalid, ok := errors.AsType[*InvalidError](err)
	if !ok {
		t.Fatalf("error %v is no InvalidError", err)
	}
	for _, p := range invalid.Problems {
		if p.Why == "" || p.Remedy == "" || p.String() == "" {
			t.Errorf("%#v lacks why or remedy", p)
		}
	}
}

// namesFile tells whether an argument makes resolve look at the machine's files.
func namesFile(arg string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	return flagName(nil, name) == "config"
}

// FuzzCommandLine: any arguments give options or an error that says what is wrong, and the
// options that they give pass their own validation again.
func FuzzCommandLine(f *testing.F) {
	for _, d := range corpus.Deployments() {
		f.Add(strings.Join(d.Args(), "\n"))
	}
	for line := range strings.Lines(malformedLines) {
		f.Add(strings.Join(strings.Fields(line), "\n"))
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := resolve(nil, slices.DeleteFunc(strings.Split(line, "\n"), namesFile)...)
		if errors.Is(err, pflag.ErrHelp) {
			return
		}
		if err != nil {
			wantInvalid(t, err)
			return
		}
		if err := r.Options.Validate(); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	})
}

// FuzzConfiguration: any file gives a configuration or an error that says what is wrong, and
// what is written of a configuration is read as the same.
func FuzzConfiguration(f *testing.F) {
	for _, name := range corpus.Configs() {
		f.Add(corpus.Config(name))
	}
	for line := range strings.Lines(malformedFiles) {
		f.Add([]byte("kind: KubeProxyConfiguration\napiVersion: kubeproxy.config.k8s.io/v1alpha1\n" + line))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _, err := ParseConfiguration("f", data)
		if err != nil {
			wantInvalid(t, err)
			return
		}
		var text bytes.Buffer
		if err := WriteConfiguration(&text, c); err != nil {
			t.Fatal(err)
		}
		again, warnings, err := ParseConfiguration("f", text.Bytes())
		if err != nil || len(warnings) > 0 {
			t.Fatalf("error %v, warnings %v reading\n%s", err, warnings, text.String())
		}
		var twice bytes.Buffer
		if err := WriteConfiguration(&twice, again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text.String(), twice.String()); diff != "" {
			t.Errorf("written again (-first +second):\n%s", diff)
		}
	})
}
