// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/hcn"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"k8s.io/klog/v2"
)

// hcnNetworkNames lists the names of the networks in this machine's HNS.
func hcnNetworkNames(ctx context.Context) ([]string, error) { return hcn.NetworkNames(ctx) }

// newHCN returns the driver of this host's HNS.
func newHCN(logger klog.Logger) (hnslb.Driver, error) {
	return hcn.New(func(message string) { logger.Error(nil, message) }), nil
}

// windowsBuild returns the build of Windows with its updates, such as 10.0.20348.2700.
func windowsBuild() string {
	v := windows.RtlGetVersion()
	build := fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Windows NT\CurrentVersion`, registry.QUERY_VALUE)
	if err != nil {
		return build
	}
	defer func() { _ = key.Close() }() // it was only read
	if updates, _, err := key.GetIntegerValue("UBR"); err == nil {
		build += fmt.Sprintf(".%d", updates)
	}
	return build
}
