// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package winlab_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
)

// TestFirstProgramsTogether: the packages of a test run start their first programs at once, in a prefix where nothing runs yet.
// Each must run, and its output must end with it, although one of them starts Wine's services.
func TestFirstProgramsTogether(t *testing.T) {
	if err := winlab.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	env := secondPrefix(t)
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

// secondPrefix makes a prefix with the files of the lab's but with a server of its own, and returns how programs find it.
func secondPrefix(t *testing.T) []string {
	t.Helper()
	cache, err := controlplane.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	lab := filepath.Join(cache, "winlab", "prefix")
	second := t.TempDir()
	prefix := filepath.Join(second, "winlab", "prefix")
	if err := os.MkdirAll(prefix, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"system.reg", "user.reg", "userdef.reg", ".update-timestamp"} {
		content, err := os.ReadFile(filepath.Join(lab, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(prefix, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"drive_c", "dosdevices"} {
		if err := os.Symlink(filepath.Join(lab, name), filepath.Join(prefix, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, how := range []string{"-k", "-w"} { // end it, and wait for its end
			server := exec.Command("wineserver", how)
			server.Env = append(os.Environ(), "WINEPREFIX="+prefix)
			if output, err := server.CombinedOutput(); err != nil {
				t.Errorf("wineserver %s: %v\n%s", how, err, output)
			}
		}
	})
	return []string{"HNSPROXY_CACHE=" + second}
}
