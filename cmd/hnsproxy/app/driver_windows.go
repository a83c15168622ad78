// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"

	hcnapi "github.com/Microsoft/hcsshim/hcn"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/hcn"
	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"k8s.io/klog/v2"
)

// hcnNetworkNames returns the names of the HNS networks of this host. When ctx ends, a call without
// an answer is abandoned.
func hcnNetworkNames(ctx context.Context) ([]string, error) {
	type answer struct {
		names []string
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		all, err := hcnapi.ListNetworks()
		var names []string
		for _, n := range all {
			names = append(names, n.Name)
		}
		done <- answer{names, err}
	}()
	select {
	case a := <-done:
		return a.names, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

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
