// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scenarios holds the scenarios that hnsproxy-bench knows by name. Each file explains its fields; steady.yaml explains those
// that all have.
package scenarios

import "embed"

// Files are the scenarios.
//
//go:embed *.yaml
var Files embed.FS
