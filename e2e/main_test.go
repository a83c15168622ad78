// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/e2e/program"
	"github.com/hnsproxy/hnsproxy/e2e/winlab"
)

// plane is the control plane of all tests of this package. They run one after the other, and each leaves it as it was.
var plane *controlplane.ControlPlane

// exeDir is where hnsproxy.exe is built.
var exeDir string

// hnsproxyExe makes the Windows lab and hnsproxy.exe, once.
var hnsproxyExe = sync.OnceValues(func() (program.Program, error) {
	ctx := context.Background()
	if err := winlab.Prepare(ctx); err != nil {
		return program.Program{}, err
	}
	return program.Hnsproxy(ctx, exeDir)
})

// asExe are these machines with hnsproxy.exe under Wine.
func asExe(setups ...harness.Setup) []harness.Setup {
	setups = slices.Clone(setups)
	for i := range setups {
		setups[i].Exe = hnsproxyExe
	}
	return setups
}

// bothWays are these machines with hnsproxy in this process, and again with hnsproxy.exe under Wine.
func bothWays(setups ...harness.Setup) []harness.Setup {
	return slices.Concat(setups, asExe(setups...))
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hnsproxy-e2e-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the directory for leftovers
	exeDir = dir
	if plane, err = controlplane.Start(context.Background(), dir); err != nil {
		return fail(err)
	}
	defer plane.Close()
	if err := plane.ApplyFile(context.Background(), harness.RBAC); err != nil {
		return fail(err)
	}
	return m.Run()
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}
