// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"
)

// TestSaver: a disk that is full does not end anything, is told of once a minute, and what
// could not be saved is saved when it can be.
func TestSaver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex // guards what follows
		changes, saved, tries := 0, 0, 0
		var trouble error
		set := func(n int, err error) {
			mu.Lock()
			defer mu.Unlock()
			changes, trouble = n, err
		}
		var said []string
		s := &saver{
			changes: func() int {
				mu.Lock()
				defer mu.Unlock()
				return changes
			},
			save: func() error {
				mu.Lock()
				defer mu.Unlock()
				tries++
				if trouble != nil {
					// As os.CreateTemp names it, another one each time.
					return fmt.Errorf("save: %w", &fs.PathError{Op: "write", Path: fmt.Sprintf("hns.json.%d", tries), Err: trouble})
				}
				saved = changes
				return nil
			},
			logger: funcr.New(func(_, line string) {
				msg, _, _ := strings.Cut(line, `"error"=`)
				said = append(said, fmt.Sprint(time.Since(begin), " ", msg))
			}, funcr.Options{}),
			clock: clock.RealClock{},
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			s.run(ctx)
			close(ended)
		}()
		is := func(what string, wantSaved, wantTries int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if saved != wantSaved || tries != wantTries {
				t.Errorf("%s: %d changes saved in %d tries, want %d in %d", what, saved, tries, wantSaved, wantTries)
			}
			tries = 0
		}
		set(3, nil)
		<-time.After(10 * time.Second)
		is("all is well", 3, 1)
		set(4, syscall.ENOSPC)
		<-time.After(140 * time.Second)
		is("the disk is full", 3, 280)
		set(4, syscall.EACCES)
		<-time.After(time.Second)
		is("and then not writable", 3, 2)
		set(4, nil)
		<-time.After(time.Second)
		is("healed", 4, 1)
		stop()
		<-ended
		const failure = ` "msg"="The emulated HNS is not saved; its file stays as it was" `
		want := []string{
			"10.5s" + failure, "1m10.5s" + failure, "2m10.5s" + failure, "2m30.5s" + failure,
			`2m31.5s "level"=0 "msg"="The emulated HNS is saved again"`,
		}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
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
	r.eventually("try to save, and go on", func() bool { return time.Since(before) > 3*savePeriod })
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
	err := Run(ctx, *o, Deps{OnStart: func(Started) { stop() }})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Run = %v", err)
	}
}
