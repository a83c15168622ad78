// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// networkName is the HNS network of the Pods.
const networkName = "pods"

// network is the network plugin of all nodes. On the node with the emulated HNS it keeps an HNS endpoint for each Pod; of the
// others it only knows which Pods live. It is safe for concurrent use.
type network struct {
	hns  *emulator.Emulator
	node string

	mu sync.Mutex
	// live are the addresses of Pods that run, local those of the node with HNS.
	live  map[netip.Addr]bool
	local map[string][]netip.Addr
}

func newNetwork(hns *emulator.Emulator, node string) *network {
	return &network{hns: hns, node: node, live: map[netip.Addr]bool{}, local: map[string][]netip.Addr{}}
}

// create makes the HNS network on a host with that management IP and MAC, with a route to each other node on an overlay.
func (n *network) create(setup Setup, host emulator.NetworkSpec) error {
	spec := emulator.NetworkSpec{
		Name: networkName, Type: setup.networkType(),
		ManagementIP: host.ManagementIP, HostMAC: host.HostMAC, Subnets: prefixes("10.244.1.0/24"),
	}
	if setup.Overlay {
		spec.Remotes = []hnslb.RemoteSubnet{
			{Prefix: netip.MustParsePrefix("10.244.2.0/24"), ProviderAddress: netip.MustParseAddr(PeerIP)},
			{Prefix: netip.MustParsePrefix("10.244.0.0/24"), ProviderAddress: netip.MustParseAddr(LinuxIP)},
		}
	} else {
		spec.ManagementIPv6 = netip.MustParseAddr(NodeIPv6)
		spec.Subnets = append(spec.Subnets, netip.MustParsePrefix("fd00:244:1::/64"))
	}
	_, err := n.hns.AddNetwork(spec)
	return err
}

// Add is part of kubelet.NetworkPlugin.
func (n *network) Add(_ context.Context, pod *corev1.Pod) error {
	ips, err := podIPs(pod)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if pod.Spec.NodeName == n.node {
		n.local[key(pod)] = ips
		if err := n.connect(key(pod)); err != nil {
			return err
		}
	}
	for _, ip := range ips {
		n.live[ip] = true
	}
	return nil
}

func (n *network) connect(pod string) error {
	_, err := n.hns.AddForeignEndpoint(networkName, hnslb.Endpoint{Name: pod, IPs: n.local[pod]})
	return err
}

// Del is part of kubelet.NetworkPlugin.
func (n *network) Del(_ context.Context, pod *corev1.Pod) error {
	ips, err := podIPs(pod)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, ip := range ips {
		delete(n.live, ip)
	}
	if pod.Spec.NodeName != n.node {
		return nil
	}
	delete(n.local, key(pod))
	return n.hns.RemoveLocalEndpoint(ips[0])
}

// reconnect makes the HNS endpoints of all local Pods again, after HNS or the network lost them.
func (n *network) reconnect() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, pod := range slices.Sorted(maps.Keys(n.local)) {
		if err := n.connect(pod); err != nil {
			return err
		}
	}
	return nil
}

// endpoints returns the addresses of each local Pod.
func (n *network) endpoints() [][]netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.local))
}

// RestartHNS restarts HNS as an administrator, or a crash, does. When it lost the endpoints, the network plugin makes
// those of the Pods again.
func (w *World) RestartHNS(o emulator.RestartOptions) {
	w.tb.Helper()
	w.HNS.Restart(o)
	if o.LoseEndpoints {
		w.Must(w.network.reconnect())
	}
}

// ReplaceNetwork makes the HNS network anew, as network plugins do when they start, and connects the Pods to it.
func (w *World) ReplaceNetwork() {
	w.tb.Helper()
	_, err := w.HNS.ReplaceNetwork(networkName)
	w.Must(err)
	w.Must(w.network.reconnect())
}

func key(pod *corev1.Pod) string { return pod.Namespace + "/" + pod.Name }

func podIPs(pod *corev1.Pod) ([]netip.Addr, error) {
	var ips []netip.Addr
	for _, one := range pod.Status.PodIPs {
		ip, err := netip.ParseAddr(one.IP)
		if err != nil {
			return nil, fmt.Errorf("address of Pod %s: %w", key(pod), err)
		}
		ips = append(ips, ip)
	}
	return ips, nil
}
