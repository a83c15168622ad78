// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"iter"
	"net/netip"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/vfp"
)

// The packets of the model of VFP, under names that are at hand where an Emulator is.
type (
	// Packet is the first packet of a new flow.
	Packet = vfp.Packet
	// Source is where a packet starts.
	Source = vfp.Source
	// Verdict is what becomes of a packet.
	Verdict = vfp.Verdict
	// HostPort is a port of the host's TCP/IP stack.
	HostPort = vfp.HostPort
)

// LocalPod is a pod on this node, see vfp.LocalPod.
func LocalPod(ip netip.Addr) Source { return vfp.LocalPod(ip) }

// Host is the node itself.
func Host() Source { return vfp.Host() }

// Outside is any other machine, see vfp.Outside.
func Outside(ip netip.Addr) Source { return vfp.Outside(ip) }

// Trace answers where a packet goes. It works while HNS is stopped too: VFP carries on.
func (e *Emulator) Trace(p Packet) Verdict {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.model().Trace(p)
}

// TraceAll returns everything that can become of new flows to this destination, since a
// hash chooses among the backends: each outcome once, arrivals first, in order.
func (e *Emulator) TraceAll(p Packet) []Verdict {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.model().TraceAll(p)
}

// Reachable returns the backends that TraceAll reaches, in order, each once.
func (e *Emulator) Reachable(p Packet) []netip.AddrPort {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.model().Reachable(p)
}

// Flow is a flow of packets that VFP remembers, see vfp.Flow.
type Flow struct {
	e    *Emulator
	flow *vfp.Flow
}

// Flow begins a flow with the packets of which p is the first. Nothing is sent yet.
func (e *Emulator) Flow(p Packet) *Flow { return &Flow{e: e, flow: vfp.NewFlow(p)} }

// Send answers where the next packet of the flow goes.
func (f *Flow) Send() Verdict {
	f.e.mu.Lock()
	defer f.e.mu.Unlock()
	return f.flow.Send(f.e.model())
}

// model is the packet model over the store. It is used under the lock.
func (e *Emulator) model() vfp.Model { return vfp.Model{Tables: tables{e.store}, Profile: e.profile} }

// tables shows the store to the packet model, which keeps nothing of it.
type tables struct{ *store }

// Networks is part of vfp.Tables, as are the methods below.
func (t tables) Networks() iter.Seq[vfp.Network] {
	return func(yield func(vfp.Network) bool) {
		for _, n := range t.networks {
			if !yield(n.seen()) {
				return
			}
		}
	}
}

func (t tables) Network(id hnslb.ID) (vfp.Network, bool) {
	n := t.networkByID(id)
	if n == nil {
		return vfp.Network{}, false
	}
	return n.seen(), true
}

func (t tables) Endpoint(id hnslb.ID) (vfp.Endpoint, bool) {
	ep := t.endpoints[id]
	if ep == nil {
		return vfp.Endpoint{}, false
	}
	return ep.seen(), true
}

func (t tables) EndpointsAt(ip netip.Addr) iter.Seq[vfp.Endpoint] {
	return func(yield func(vfp.Endpoint) bool) {
		t.byIP.find(ip, func(ep *endpoint) bool { return !yield(ep.seen()) })
	}
}

func (t tables) HasLocalEndpoint(network hnslb.ID) bool {
	n := t.networkByID(network)
	return n != nil && n.locals > 0
}

func (t tables) Frontend(k hnslb.FrontendKey) (vfp.LoadBalancer, bool) {
	b := t.frontends[k]
	if b == nil {
		return vfp.LoadBalancer{}, false
	}
	return vfp.LoadBalancer{LoadBalancer: b.LoadBalancer, Network: b.network, NodeIP: b.nodeIP, NoRules: b.noRules}, true
}

func (t tables) Listens(p HostPort) bool { return t.ports.listeners[p] }

// seen is the network as the packet model sees it.
func (n *network) seen() vfp.Network {
	return vfp.Network{Network: n.Network, ManagementIPv6: n.hostIPv6, LoopbackDSR: n.loopbackDSR}
}

// seen is the endpoint as the packet model sees it, its addresses in its own memory.
func (ep *endpoint) seen() vfp.Endpoint {
	return vfp.Endpoint{Endpoint: publicEndpoint(ep, ep.addrs()), Detached: ep.detached}
}
