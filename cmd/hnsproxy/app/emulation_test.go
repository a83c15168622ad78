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

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/emulated"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/place"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// emulate is what --hns-driver=emulator stands for on this node.
func emulate(o *Options, logger klog.Logger, c clock.WithTicker) (Emulation, error) {
	return emulated.New(o, logger, c)
}

// emulatorWith returns an HNS with a network of that name and type.
func emulatorWith(t *testing.T, name, networkType string) *emulator.Emulator {
	t.Helper()
	e := emulator.New(emulator.Config{Profile: profiles.WS2022()})
	n := place.Demo(name, networkType, nil)
	_, err := e.AddNetwork(emulator.NetworkSpec{Name: n.Name, Type: n.Type, ManagementIP: n.ManagementIP, Subnets: n.Subnets, Remotes: n.Remotes})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// writesOf counts the writes among calls.
func writesOf(calls map[hnslb.Verb]int) int {
	n := 0
	for v, c := range calls {
		if v.IsWrite() {
			n += c
		}
	}
	return n
}

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
