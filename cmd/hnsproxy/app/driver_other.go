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

// hcnNetworkNames returns an error, since there is no HNS on this system.
func hcnNetworkNames(context.Context) ([]string, error) {
	return nil, errors.New("HNS is only available on Windows")
}

// newHCN returns an error, since there is no HNS on this system.
func newHCN(klog.Logger) (hnslb.Driver, error) {
	return nil, errors.New("HNS is only available on Windows; use --hns-driver=emulator")
}

// windowsBuild returns "", since this is not Windows.
func windowsBuild() string { return "" }
