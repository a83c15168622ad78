// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import "github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"

// Names of package options, for callers of Run.
type (
	// Options are what Run does.
	Options = options.Options
	// Host is what Complete asks of the machine.
	Host = options.Host
)

// Values of Options.HNS.
const (
	HCN      = options.HCN
	Emulator = options.Emulator
)

// NewOptions returns the defaults, which are kube-proxy's where kube-proxy has the flag.
func NewOptions() *Options { return options.New() }
