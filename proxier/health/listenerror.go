// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// What Windows says about a port; package syscall does not name them there.
const (
	wsaAddressInUse = syscall.Errno(10048)
	wsaAccess       = syscall.Errno(10013)
)

// explainListenError adds to the error of a listener who may hold the port, and how to see that: more often
// than not it is the proxy that hnsproxy is to replace.
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
