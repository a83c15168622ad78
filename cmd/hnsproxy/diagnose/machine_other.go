// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package diagnose

import (
	"context"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/doctor"
)

// gatherMachine says that this is no Windows machine.
func gatherMachine(_ context.Context, f *doctor.Facts) {
	f.Unknown = append(f.Unknown, "programs, ports and settings: this is no Windows machine")
}
