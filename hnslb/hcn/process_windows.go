// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hcn

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

var _ hnslb.ServiceQuerier = (*Driver)(nil)

// serviceName is the name of HNS in Windows' service manager.
const serviceName = "hns"

// ServiceProcess is part of hnslb.ServiceQuerier: no call to HNS. The service may share its
// process with others, which then outlives it.
func (d *Driver) ServiceProcess(ctx context.Context) (uint32, error) {
	n := callName{hnslb.VerbServiceProcess, service}
	if err := alive(ctx, n.verb, n.object); err != nil {
		return 0, err
	}
	process, err := processOf(serviceName)
	switch {
	case err == nil:
		return process, nil
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST), errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return 0, n.fail(hnslb.Unsupported, err)
	}
	return 0, n.fail(hnslb.Other, err)
}

// processOf asks with no more rights than it takes; mgr.Connect asks for all there are.
func processOf(name string) (uint32, error) {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return 0, fmt.Errorf("open the service manager: %w", err)
	}
	defer windows.CloseServiceHandle(manager) //nolint:errcheck // nothing was changed
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, fmt.Errorf("service %s: %w", name, err)
	}
	handle, err := windows.OpenService(manager, text, windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return 0, fmt.Errorf("open service %s: %w", name, err)
	}
	defer windows.CloseServiceHandle(handle) //nolint:errcheck // nothing was changed
	status, err := (&mgr.Service{Name: name, Handle: handle}).Query()
	if err != nil {
		return 0, fmt.Errorf("query service %s: %w", name, err)
	}
	return status.ProcessId, nil
}
