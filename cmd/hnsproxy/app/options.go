// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import "github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"

// Names of package options, for callers of Run.
type (
	// Options configure Run.
	Options = options.Options
	// Host is the part of the host that Complete uses.
	Host = options.Host
)

// Values of Options.HNS.
const (
	HCN      = options.HCN
	Emulator = options.Emulator
)

// NewOptions returns the defaults, which are kube-proxy's where kube-proxy has the flag.
func NewOptions() *Options { return options.New() }
