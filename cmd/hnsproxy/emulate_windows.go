// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/hnsproxy/hnsproxy/cmd/hnsproxy/app"

// emulate returns nothing: there is an HNS.
func emulate() app.Emulate { return nil }
