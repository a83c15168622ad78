// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulated

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/options"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/place"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// podName begins the names of the HNS endpoints that the plugin makes, by which it knows
// its own in a restored state.
const podName = "pod-"

// networkPlugin plays the part of a node's network plugin on an emulated HNS: it makes the
// network when there is none, and an HNS endpoint for each pod of this node. Nobody else
// would, and without them local backends stay blocked (law 10). It knows pods by the
// EndpointSlices that place them on this node.
type networkPlugin struct {
	hns           *emulator.Emulator
	network, kind string
	node          string
	logger        klog.Logger

	mu      sync.Mutex
	started bool
	hostIPs []netip.Addr
	// wanted are the pods of this node by the slice that lists them.
	wanted map[cache.ObjectName][]netip.Addr
	made   sets.Set[netip.Addr]
	// refused are pods that HNS took no endpoint for; they are tried again.
	refused sets.Set[netip.Addr]
	// changed counts the changes made to HNS.
	changed int
}

func newNetworkPlugin(e *emulator.Emulator, o *options.Options, logger klog.Logger) *networkPlugin {
	return &networkPlugin{
		hns: e, network: o.Network, kind: o.Emulated.NetworkType, node: o.Hostname, logger: logger,
		wanted: map[cache.ObjectName][]netip.Addr{}, made: sets.New[netip.Addr](), refused: sets.New[netip.Addr](),
	}
}

// demoNetwork is place.Demo for the emulator.
func demoNetwork(name, kind string, node *corev1.Node) emulator.NetworkSpec {
	n := place.Demo(name, kind, node)
	spec := emulator.NetworkSpec{
		Name: n.Name, Type: n.Type, ManagementIP: n.ManagementIP, HostMAC: n.HostMAC, Subnets: n.Subnets, Remotes: n.Remotes,
	}
	if node != nil {
		known, _ := services.ReadNode(node) // place.Demo says what becomes of an error
		spec.ManagementIPv6 = known.IP(hnslb.IPv6)
	}
	return spec
}

// retryPeriod is how long a pod waits for its endpoint after HNS refused it.
const retryPeriod = time.Second

// run tries again what HNS refused, until ctx ends: an endpoint that stands in the way may
// have gone, as when a pod gets an address that another node had.
func (p *networkPlugin) run(ctx context.Context, c clock.WithTicker) {
	ticker := c.NewTicker(retryPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			p.mu.Lock()
			if p.refused.Len() > 0 {
				p.sync()
			}
			p.mu.Unlock()
		}
	}
}

// start makes the network if there is none, and all endpoints. node may be nil.
func (p *networkPlugin) start(node *corev1.Node) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := p.hns.State()
	has := func(n emulator.NetworkState) bool { return n.Name == p.network }
	i := slices.IndexFunc(state.Networks, has)
	if i < 0 {
		if _, err := p.hns.AddNetwork(demoNetwork(p.network, p.kind, node)); err != nil {
			return err
		}
		p.changed++
		state = p.hns.State()
		i = slices.IndexFunc(state.Networks, has)
	}
	p.hostIPs = []netip.Addr{state.Networks[i].ManagementIP, state.Networks[i].ManagementIPv6}
	for _, e := range state.Endpoints {
		if !e.Remote && strings.HasPrefix(e.Name, podName) && len(e.IPs) > 0 {
			p.made.Insert(e.IPs[0])
		}
	}
	p.started = true
	p.sync()
	return nil
}

// changes returns how often the plugin changed HNS.
func (p *networkPlugin) changes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

// set takes an EndpointSlice, nil for one that is gone.
func (p *networkPlugin) set(name cache.ObjectName, s *services.Slice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pods := p.podsOf(s)
	if slices.Equal(p.wanted[name], pods) {
		return
	}
	if len(pods) == 0 {
		delete(p.wanted, name)
	} else {
		p.wanted[name] = pods
	}
	if p.started {
		p.sync()
	}
}

// podsOf returns the addresses that a slice places on this node.
func (p *networkPlugin) podsOf(s *services.Slice) []netip.Addr {
	if s == nil {
		return nil
	}
	var ips []netip.Addr
	for _, e := range s.Endpoints {
		if e.Node == p.node {
			ips = append(ips, e.IP)
		}
	}
	return ips
}

// sync makes and removes HNS endpoints until they are those of the pods. The pods of one
// node are few, so everything is looked at each time.
func (p *networkPlugin) sync() {
	want := sets.New[netip.Addr]()
	for _, pods := range p.wanted {
		want.Insert(pods...)
	}
	want.Delete(p.hostIPs...) // a pod on the host's network has no endpoint
	p.refused = p.refused.Intersection(want)
	for ip := range p.made.Difference(want) {
		if err := p.hns.RemoveLocalEndpoint(ip); err != nil {
			p.logger.V(2).Info("HNS endpoint of a pod was already gone", "ip", ip, "err", err)
		}
		p.made.Delete(ip)
		p.changed++
	}
	for ip := range want.Difference(p.made) {
		pod := hnslb.Endpoint{Name: podName + ip.String(), IPs: []netip.Addr{ip}}
		if _, err := p.hns.AddForeignEndpoint(p.network, pod); err != nil {
			if !p.refused.Has(ip) {
				p.logger.Error(err, "Cannot create the HNS endpoint of a pod on this node", "ip", ip,
					"remedy", "its address must be in a subnet of the emulated network: see podCIDRs of the Node object")
			}
			p.refused.Insert(ip)
			continue
		}
		p.made.Insert(ip)
		p.refused.Delete(ip)
		p.changed++
	}
}
