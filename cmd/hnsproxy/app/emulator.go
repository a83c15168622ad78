// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
)

// newEmulator makes the HNS of the options, with what its state file holds.
func newEmulator(o options.EmulatorOptions, c clock.Clock) (*emulator.Emulator, error) {
	profile, err := options.EmulatedProfile(o.Profile)
	if err != nil {
		return nil, err
	}
	if o.Latency == options.NoLatency {
		profile.Timings = nil
	}
	latency, _ := options.LatencyByName(o.Latency)
	e := emulator.New(emulator.Config{Profile: profile, Latency: latency, Clock: c})
	if o.State == "" {
		return e, nil
	}
	if err := e.LoadFile(o.State); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("restore the emulated HNS (delete the file to start anew): %w", err)
	}
	return e, nil
}

// demoNetwork is the network that a network plugin would have made: what the Node object,
// if there is one, says of this node, and made-up values for the rest:
//
//	subnet         10.244.1.0/24, or the node's podCIDRs
//	management IP  10.0.0.4, or the node's InternalIP
//	other nodes    10.244.0.0/24 behind 10.0.0.10, 10.244.2.0/24 behind 10.0.0.12, and so
//	               on to 10.244.9.0/24, for an overlay; other networks are routed
//	host MAC       made up from the name by the emulator
func demoNetwork(name, kind string, node *corev1.Node) emulator.NetworkSpec {
	spec := emulator.NetworkSpec{Name: name, Type: kind}
	fromNode(&spec, node)
	if !spec.ManagementIP.IsValid() {
		spec.ManagementIP = netip.MustParseAddr("10.0.0.4")
	}
	if len(spec.Subnets) == 0 {
		spec.Subnets = []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")}
	}
	if !strings.EqualFold(kind, hnslb.NetworkOverlay) {
		return spec
	}
	for i := range byte(10) {
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, i, 0}), 24)
		if !slices.ContainsFunc(spec.Subnets, subnet.Overlaps) {
			spec.Remotes = append(spec.Remotes, hnslb.RemoteSubnet{
				Prefix: subnet, ProviderAddress: netip.AddrFrom4([4]byte{10, 0, 0, 10 + i}),
			})
		}
	}
	return spec
}

// fromNode takes over what the Node object says. What does not parse is left out: the
// informer's handler has complained about it.
func fromNode(spec *emulator.NetworkSpec, node *corev1.Node) {
	if node == nil {
		return
	}
	known, _ := services.NodeOf(node)
	spec.ManagementIP, spec.ManagementIPv6 = known.IP(hnslb.IPv4), known.IP(hnslb.IPv6)
	for _, text := range node.Spec.PodCIDRs {
		if subnet, err := netip.ParsePrefix(text); err == nil {
			spec.Subnets = append(spec.Subnets, subnet.Masked())
		}
	}
}
