// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package winlab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
)

// Prefix is a Wine prefix with a server and a registry of its own: another machine. It has the Windows of the lab's.
type Prefix struct {
	// Env makes Command run programs in it.
	Env []string
	// Dir is the prefix, DriveC its drive C:, where there is nothing but directories of Windows.
	Dir, DriveC string
}

// NewPrefix makes a prefix for one test, out of the lab that Prepare made, and ends its programs when the test is done.
func NewPrefix(tb testing.TB) Prefix {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	cache, err := controlplane.CacheDir()
	must(err)
	lab, root := filepath.Join(cache, "winlab", "prefix"), tb.TempDir()
	p := Prefix{Env: []string{"HNSPROXY_CACHE=" + root}, Dir: filepath.Join(root, "winlab", "prefix")}
	p.DriveC = filepath.Join(p.Dir, "drive_c")
	for _, dir := range []string{"dosdevices", "drive_c/ProgramData"} {
		must(os.MkdirAll(filepath.Join(p.Dir, dir), 0o755)) //nolint:gosec // as Wine makes it
	}
	for _, name := range []string{"system.reg", "user.reg", "userdef.reg", ".update-timestamp"} {
		content, err := os.ReadFile(filepath.Join(lab, name)) //nolint:gosec // a file of the lab
		must(err)
		must(os.WriteFile(filepath.Join(p.Dir, name), content, 0o600))
	}
	for link, target := range map[string]string{"dosdevices/c:": "../drive_c", "dosdevices/z:": "/"} {
		must(os.Symlink(target, filepath.Join(p.Dir, link)))
	}
	for _, name := range []string{"windows", "users", "Program Files", "Program Files (x86)"} {
		must(os.Symlink(filepath.Join(lab, "drive_c", name), filepath.Join(p.DriveC, name)))
	}
	tb.Cleanup(func() {
		if err := p.End(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// End ends all programs of the prefix. The next one starts the machine anew.
func (p Prefix) End() error {
	for _, how := range []string{"-k", "-w"} { // end it, and wait for its end
		server := exec.Command("wineserver", how)
		server.Env = append(os.Environ(), "WINEPREFIX="+p.Dir)
		if output, err := server.CombinedOutput(); err != nil {
			return fmt.Errorf("wineserver %s: %w\n%s", how, err, output)
		}
	}
	return nil
}
