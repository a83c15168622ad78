// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulated

import (
	"context"
	"fmt"
	"io/fs"
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
		const failure = ` "msg"="Cannot save the emulated HNS; existing file left unchanged" `
		want := []string{
			"10.5s" + failure, "1m10.5s" + failure, "2m10.5s" + failure, "2m30.5s" + failure,
			`2m31.5s "level"=0 "msg"="Saving the emulated HNS works again"`,
		}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}
