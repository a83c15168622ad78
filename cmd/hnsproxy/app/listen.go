// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// listenOnHost listens on a port on all addresses of this host until stop is called.
func listenOnHost(protocol hnslb.Protocol, port uint16) (stop func(), err error) {
	var config net.ListenConfig
	address := net.JoinHostPort("0.0.0.0", strconv.Itoa(int(port)))
	switch protocol {
	case hnslb.TCP:
		l, err := config.Listen(context.Background(), "tcp4", address)
		if err != nil {
			return nil, err
		}
		return func() { _ = l.Close() }, nil // nothing is lost with it
	case hnslb.UDP:
		l, err := config.ListenPacket(context.Background(), "udp4", address)
		if err != nil {
			return nil, err
		}
		return func() { _ = l.Close() }, nil
	}
	return nil, fmt.Errorf("cannot listen on %s", protocol)
}
