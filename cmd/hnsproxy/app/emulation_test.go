// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestStateCannotBeSaved: the program goes on when its state file cannot be written, and
// saves when it can again. At the end it says that it could not.
func TestStateCannotBeSaved(t *testing.T) {
	t.Parallel()
	dir, state := example(t), filepath.Join(t.TempDir(), "disk", "hns.json")
	disk := filepath.Dir(state)
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	r := start(t, func(o *Options, _ *Deps) { o.Objects, o.Emulated.State = []string{dir}, state })
	r.settled()
	holds := func(text string) func() bool {
		return func() bool {
			got, err := os.ReadFile(state)
			return err == nil && bytes.Contains(got, []byte(text))
		}
	}
	r.eventually("save the state", holds("203.0.113.20"))
	if err := os.Rename(disk, disk+"-away"); err != nil {
		t.Fatal(err)
	}
	edit(t, dir, "win-webserver.yaml", "10.244.1.20", "10.244.1.21")
	r.eventually("go on", func() bool { return strings.Contains(r.Emulator.Dump(), "10.244.1.21") })
	before := time.Now()
	r.eventually("try to save, and go on", func() bool { return time.Since(before) > 2*time.Second })
	if err := os.Rename(disk+"-away", disk); err != nil {
		t.Fatal(err)
	}
	r.eventually("save again", holds("10.244.1.21"))
	left, err := os.ReadDir(disk)
	if err != nil || len(left) != 1 {
		t.Errorf("files beside the state: %v, %v", left, err)
	}
}

// TestLastSaveFails: who stops the program hears that its state is lost.
func TestLastSaveFails(t *testing.T) {
	t.Parallel()
	o := NewOptions()
	o.HNS, o.Hostname, o.HealthzBindAddress, o.MetricsBindAddress = Emulator, "win-node-1", "", ""
	o.Objects, o.Emulated.State = []string{exampleDir}, filepath.Join(t.TempDir(), "none", "hns.json")
	if err := o.Complete(Host{Getenv: func(string) string { return "" }}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	err := Run(ctx, *o, Deps{Emulate: emulate, OnStart: func(Started) { stop() }})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Run = %v", err)
	}
}
