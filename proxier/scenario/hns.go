// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// The node that every scenario begins with; README.md draws it.
const (
	// PodNetwork is the name of the HNS network of the pods.
	PodNetwork = "pods"
	// SourceVIP is --source-vip on an overlay.
	SourceVIP = "10.244.1.2"

	hostMAC = "00-15-5D-00-00-04"
)

// Node returns what the Node object of that node says.
func Node() services.Node {
	return services.Node{Name: "n1", Zone: "z1", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.4")}, Eligible: true}
}

// HNS is the emulated HNS of the node.
type HNS struct {
	*emulator.Emulator
	// network is one of Networks.
	network string
}

// NewHNS makes an HNS with the network of the node's pods, of one of Networks.
func NewHNS(network string, config emulator.Config) (*HNS, error) {
	h := &HNS{emulator.New(config), network}
	return h, h.addPodNetwork()
}

func (h *HNS) addPodNetwork() error {
	spec := emulator.NetworkSpec{
		Name:         PodNetwork,
		Type:         "L2Bridge",
		ManagementIP: netip.MustParseAddr("10.0.0.4"),
		HostMAC:      hostMAC,
		Subnets:      []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")},
		LoopbackDSR:  true,
	}
	if h.network == "overlay" {
		spec.Type = hnslb.NetworkOverlay
		spec.Remotes = []hnslb.RemoteSubnet{
			{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: netip.MustParseAddr("10.0.0.5")},
			{Prefix: netip.MustParsePrefix("10.244.3.0/24"), ProviderAddress: netip.MustParseAddr("10.0.0.6")},
		}
	} else {
		spec.ManagementIPv6 = netip.MustParseAddr("fd00:10::4")
		spec.Subnets = append(spec.Subnets, netip.MustParsePrefix("fd00:244:1::/64"))
	}
	_, err := h.AddNetwork(spec)
	return err
}

// Load adds objects, written as Text prints them. Other IDs are given to all objects, so
// no proxy may run.
func (h *HNS) Load(text string) error {
	var lines strings.Builder
	lines.WriteString(h.Dump())
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "endpoint ") && !strings.Contains(line, " network=") {
			line += " network=" + PodNetwork
		}
		if strings.HasPrefix(line, "endpoint ") && !strings.Contains(line, " mac=") {
			line += usualMAC(line)
		}
		lines.WriteString(line + "\n")
	}
	state, err := emulator.ParseDump(strings.NewReader(lines.String()))
	if err != nil {
		return err
	}
	return h.Restore(state)
}

// Lose deletes a load balancer by its frontend, or a remote endpoint by its address, behind
// the proxy's back.
func (h *HNS) Lose(what string) error {
	state := h.State()
	if ip, err := netip.ParseAddr(what); err == nil {
		for _, e := range state.Endpoints {
			if e.Remote && slices.Contains(e.IPs, ip) {
				return h.DeleteBehind(e.ID)
			}
		}
		return fmt.Errorf("no remote endpoint has %s", ip)
	}
	key, err := ParseKey(what)
	if err != nil {
		return err
	}
	for _, lb := range state.LoadBalancers {
		if k, ok := lb.Key(); ok && k == key {
			return h.DeleteBehind(lb.ID)
		}
	}
	return fmt.Errorf("no load balancer holds %s", key)
}

// ParseKey reads a frontend as FrontendKey.String prints it.
func ParseKey(text string) (hnslb.FrontendKey, error) {
	to, protocol, _ := strings.Cut(text, "/")
	addr, err := netip.ParseAddrPort(to)
	if err != nil {
		return hnslb.FrontendKey{}, err
	}
	p, err := hnslb.ParseProtocol(protocol)
	if err != nil {
		return hnslb.FrontendKey{}, fmt.Errorf("%q: %w", text, err)
	}
	k := hnslb.FrontendKey{Family: hnslb.FamilyOf(addr.Addr()), VIP: addr.Addr(), Port: addr.Port(), Protocol: p}
	if k.VIP.IsUnspecified() {
		k.VIP = netip.Addr{}
	}
	return k, nil
}
