// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package main

import (
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/app"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/emulated"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// emulate returns what --hns-driver=emulator stands for.
func emulate() app.Emulate {
	return func(o *app.Options, logger klog.Logger, c clock.WithTicker) (app.Emulation, error) {
		return emulated.New(o, logger, c)
	}
}
