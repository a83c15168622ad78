// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/hnsproxy/hnsproxy/e2e/controlplane"
)

// plane is the control plane of all tests of this package. They run one after the other, and each leaves it as it was.
var plane *controlplane.ControlPlane

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hnsproxy-deploy-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover in the directory for leftovers
	if plane, err = controlplane.Start(context.Background(), dir); err != nil {
		return fail(err)
	}
	defer plane.Close()
	return m.Run()
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}
