// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"runtime/debug"
	"testing"
)

// The linker comes first, then what the go command knows.
func TestStamped(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{Main: debug.Module{Version: "v0.2.0"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "cafe"}}}
	for _, c := range []struct {
		name                        string
		version, commit             string
		info                        *debug.BuildInfo
		wantedVersion, wantedCommit string
	}{
		{"make", "v0.1.0-3-gbeef", "beef", info, "v0.1.0-3-gbeef", "beef"},
		{"go build", "", "", info, "v0.2.0", "cafe"},
		{"go build without git", "", "", &debug.BuildInfo{}, "(devel)", ""},
		{"no build information", "", "", nil, "(devel)", ""},
	} {
		if v, r := stamped(c.version, c.commit, c.info); v != c.wantedVersion || r != c.wantedCommit {
			t.Errorf("%s: %q, %q; want %q, %q", c.name, v, r, c.wantedVersion, c.wantedCommit)
		}
	}
}
