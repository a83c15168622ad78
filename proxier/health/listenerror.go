// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Windows error codes for a port that is in use; package syscall does not define them.
const (
	wsaAddressInUse = syscall.Errno(10048)
	wsaAccess       = syscall.Errno(10013)
)

// explainListenError adds to a listen error what may hold the port and how to find out: usually it
// is the proxy that hnsproxy replaces.
func explainListenError(err error, addr string) error {
	_, port, splitErr := net.SplitHostPort(addr)
	if splitErr != nil {
		return err
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, wsaAddressInUse):
		return fmt.Errorf("%w; is kube-proxy or another hnsproxy still running on this node? "+
			"\"Get-Process -Id (Get-NetTCPConnection -State Listen -LocalPort %s).OwningProcess\" shows the process that holds the port", err, port)
	case errors.Is(err, wsaAccess):
		return fmt.Errorf("%w; Windows may have reserved the port: \"netsh int ipv4 show excludedportrange tcp\" shows such ranges", err)
	}
	return err
}
