// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package winlab_test

import (
	"io"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hnsproxy/hnsproxy/e2e/winlab"
)

// TestFirstProgramsTogether: the packages of a test run start their first programs at once, in a prefix where nothing runs yet.
// Each must run, and its output must end with it, although one of them starts Wine's services.
func TestFirstProgramsTogether(t *testing.T) {
	if err := winlab.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	env := winlab.NewPrefix(t).Env
	var programs errgroup.Group
	for range 8 {
		programs.Go(func() error {
			cmd, err := winlab.Command(t.Context(), env, "cmd", "/c", "exit")
			if err != nil {
				return err
			}
			cmd.Stdout = io.Discard          // no file: it is read through a pipe until the last program has closed it, as "go test" does
			cmd.WaitDelay = 10 * time.Second // services stay for ten minutes
			return cmd.Run()
		})
	}
	if err := programs.Wait(); err != nil {
		t.Error(err)
	}
}
