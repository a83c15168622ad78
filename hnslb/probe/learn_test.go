// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestLearn: what the probe found of this version outranks what the version promises, and
// nothing else does.
func TestLearn(t *testing.T) {
	wide := profiles.WS2019()
	wide.MaxEndpoints = 1024 // where documents say 64
	lying := profiles.WS2025()
	lying.Quirks.ModifyLies = true // where documents say that it works
	patched := profiles.WS2025RTM()
	patched.Quirks.ModifyLies = false
	for name, tt := range map[string]struct {
		probed profiles.Profile
		change func(f *hnslb.Features)
	}{
		"limit":                      {wide, func(f *hnslb.Features) { f.MaxEndpoints = 1024 }},
		"modify lies":                {lying, func(f *hnslb.Features) { f.Modify = false }},
		"modify works":               {patched, func(f *hnslb.Features) { f.Modify = true }},
		"no modify":                  {profiles.WS2022(), func(*hnslb.Features) {}},
		"as our documents have them": {profiles.Next(), func(*hnslb.Features) {}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, tt.probed, "L2Bridge")
			c := n.config(t.TempDir())
			c.Quick = false
			r, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			body, err := r.JSON()
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := WriteFile(filepath.Join(dir, FileName(r.Version)), body); err != nil {
				t.Fatal(err)
			}
			want := hnslb.FeaturesOf(tt.probed.Version)
			tt.change(&want)
			learned := Learn(n, dir, funcr.New(func(string, string) {}, funcr.Options{}))
			if got, err := learned.Features(t.Context()); err != nil || got != want {
				t.Errorf("features %+v, want %+v: %v", got, want, err)
			}
			updated := emulator.New(emulator.Config{Profile: profiles.Profile{Name: "updated", Version: hnslb.Version{Major: 17}}})
			got, err := Learn(updated, dir, funcr.New(func(string, string) {}, funcr.Options{})).Features(t.Context())
			if err != nil || got != hnslb.FeaturesOf(hnslb.Version{Major: 17}) {
				t.Errorf("features after an update %+v: %v", got, err)
			}
		})
	}
}

// TestLearnBroken: a report that cannot be used is told once, and nothing else comes of it.
func TestLearnBroken(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName(profiles.WS2022().Version)), []byte(`{"Format": 7}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var told []string
	d := Learn(emulator.New(emulator.Config{}), dir, funcr.New(func(_, args string) { told = append(told, args) }, funcr.Options{}))
	for range 2 {
		if f, err := d.Features(t.Context()); err != nil || f != hnslb.FeaturesOf(profiles.WS2022().Version) {
			t.Errorf("features %+v: %v", f, err)
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "format is 7") {
		t.Errorf("told %q", told)
	}
}
