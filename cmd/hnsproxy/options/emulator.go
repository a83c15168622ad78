// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/probe"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
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

// EmulatedProfile returns the profile of that name, or the one that hnsproxy probe wrote to
// the file of that name.
func EmulatedProfile(name string) (profiles.Profile, error) {
	known, err := profiles.ByName(name)
	if err == nil {
		return known, nil
	}
	report, errFile := probe.LoadReport(name)
	switch {
	case errors.Is(errFile, fs.ErrNotExist):
		return profiles.Profile{}, fmt.Errorf("%w, or a file written by hnsproxy probe", err)
	case errFile != nil:
		return profiles.Profile{}, errFile
	}
	return report.Profile, nil
}

// Latencies that flags name beside those of releases.
const (
	// ProfileLatency is what the profile says: nothing for a release, and what was measured
	// for a machine that was probed.
	ProfileLatency = "profile"
	NoLatency      = "none"
	// WS2022Latency is 8 ms for each write.
	WS2022Latency = "ws2022"
)

// Latencies lists the latencies that a flag names.
func Latencies() []string { return []string{ProfileLatency, NoLatency, WS2022Latency} }
