// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// DefaultNetworkName is the name of an emulated network that nobody named: those that
// kubeadm's clusters with Windows nodes and flannel use.
func DefaultNetworkName(kind string) string {
	if strings.EqualFold(kind, hnslb.NetworkOverlay) {
		return "vxlan0"
	}
	return "l2bridge"
}

// NetworkTypes lists the types of networks that carry pods on Windows.
func NetworkTypes() []string { return []string{"L2Bridge", "L2Tunnel", hnslb.NetworkOverlay} }

// LatencyByName returns the latency that a flag names.
func LatencyByName(name string) (emulator.Latency, bool) {
	switch name {
	case "none":
		return emulator.NoLatency(), true
	case "ws2022":
		return emulator.WS2022Latency(), true
	}
	return emulator.Latency{}, false
}
