// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package app

import (
	"context"
	"errors"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"k8s.io/klog/v2"
)

// hcnNetworkNames says that this machine has no HNS.
func hcnNetworkNames(context.Context) ([]string, error) {
	return nil, errors.New("HNS is only available on Windows")
}

// newHCN says that this machine has no HNS.
func newHCN(klog.Logger) (hnslb.Driver, error) {
	return nil, errors.New("HNS is only available on Windows; use --hns-driver=emulator")
}

// windowsBuild is the build of Windows, of which this machine has none.
func windowsBuild() string { return "" }
