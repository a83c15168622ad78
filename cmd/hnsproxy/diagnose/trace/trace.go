// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package trace says where a packet would go on a node whose HNS holds what a snapshot says, by
// the model of package vfp.
package trace

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/diagnose/snapshot"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/vfp"
)

// Packet is the first packet of a new flow.
type Packet = vfp.Packet

// Host is what HNS does not tell of a node, and packets depend on.
type Host struct {
	// LoopbackDSR is a setting of the network plugin: a pod reaches itself through a load
	// balancer with DSR.
	LoopbackDSR bool
	// Listeners are ports on which programs of the node listen.
	Listeners []vfp.HostPort
}

// Node is a node to follow packets on.
type Node struct {
	model    vfp.Model
	snapshot snapshot.Snapshot
	// Notes say what of the snapshot the model cannot take in.
	Notes []string
}

// New makes a node of what its HNS holds.
func New(s snapshot.Snapshot, h Host) *Node {
	p := s.Release()
	tables, left := vfp.Index(values(s, h))
	n := &Node{model: vfp.Model{Tables: tables, Profile: p}, snapshot: s}
	if s.Version == (hnslb.Version{}) && s.Profile == "" {
		n.Notes = append(n.Notes, "the version of HNS is not in the file; it is taken for "+p.Version.String())
	}
	for _, err := range left {
		n.Notes = append(n.Notes, "left out is "+err.Error())
	}
	return n
}

// values is a snapshot as the model takes it. HNS does not show everything: the rules of a node
// port are taken to have the management IP of now, and a load balancer that HNS calls degraded to
// have none.
func values(s snapshot.Snapshot, h Host) vfp.Values {
	v := vfp.Values{Listeners: h.Listeners}
	for _, n := range s.Networks {
		v.Networks = append(v.Networks, vfp.Network{Network: n, ManagementIPv6: ipv6Of(n), LoopbackDSR: h.LoopbackDSR})
	}
	for _, e := range s.Endpoints {
		v.Endpoints = append(v.Endpoints, vfp.Endpoint{Endpoint: e})
	}
	of := networksOf(s)
	for _, lb := range s.LoadBalancers {
		out := vfp.LoadBalancer{LoadBalancer: lb, NoRules: lb.Degraded}
		if n, known := of.find(lb); known {
			out.Network, out.NodeIP = n.ID, nodeIP(n, lb)
		}
		v.LoadBalancers = append(v.LoadBalancers, out)
	}
	return v
}

// ipv6Of is the address of a network's host that HNS does not show: one on the interface of the
// management IP.
func ipv6Of(n hnslb.Network) netip.Addr {
	for _, a := range n.Adapters {
		if a.IP.Is6() && !a.IP.IsLinkLocalUnicast() && n.HostMAC != "" && strings.EqualFold(a.MAC, n.HostMAC) {
			return a.IP
		}
	}
	return netip.Addr{}
}

// nodeIP is the address in the rules of a node port.
func nodeIP(n hnslb.Network, lb hnslb.LoadBalancer) netip.Addr {
	if len(lb.VIPs) > 0 || len(lb.Mappings) == 0 {
		return netip.Addr{}
	}
	family := hnslb.IPv4
	if lb.Flags&hnslb.IPv6Enabled != 0 {
		family = hnslb.IPv6
	}
	if n.ManagementIP.IsValid() && hnslb.FamilyOf(n.ManagementIP) == family {
		return n.ManagementIP
	}
	if family == hnslb.IPv6 {
		return ipv6Of(n)
	}
	return netip.Addr{}
}

// networks finds the network of a load balancer.
type networks struct {
	byEndpoint map[hnslb.ID]hnslb.Network
	only       []hnslb.Network
}

func networksOf(s snapshot.Snapshot) networks {
	out := networks{byEndpoint: map[hnslb.ID]hnslb.Network{}}
	byID := map[hnslb.ID]hnslb.Network{}
	for _, n := range s.Networks {
		byID[n.ID] = n
		if n.CarriesServices() {
			out.only = append(out.only, n)
		}
	}
	for _, e := range s.Endpoints {
		if n, ok := byID[e.Network]; ok {
			out.byEndpoint[e.ID] = n
		}
	}
	return out
}

// find goes by the endpoints; when all are gone, by what else it could be.
func (n networks) find(lb hnslb.LoadBalancer) (hnslb.Network, bool) {
	for _, id := range lb.Endpoints {
		if net, ok := n.byEndpoint[id]; ok {
			return net, true
		}
	}
	if len(n.only) == 1 {
		return n.only[0], true
	}
	return hnslb.Network{}, false
}

// Result is what becomes of a packet.
type Result struct {
	From     string         `json:"from"`
	To       netip.AddrPort `json:"to"`
	Protocol string         `json:"protocol"`
	// LoadBalancer that the packet meets, nil for none.
	LoadBalancer *LoadBalancer `json:"loadBalancer,omitempty"`
	// Outcomes are all that can become of new flows; more than one where a hash chooses.
	Outcomes []Outcome `json:"outcomes"`
	// Notes say how sure the answer is.
	Notes []string `json:"notes,omitempty"`
}

// LoadBalancer is the load balancer that a packet meets.
type LoadBalancer struct {
	ID        hnslb.ID `json:"id"`
	Frontend  string   `json:"frontend"`
	Mode      string   `json:"mode"`
	SourceVIP string   `json:"sourceVIP,omitempty"`
	Backends  int      `json:"backends"`
	// Choice says how a backend is chosen.
	Choice string `json:"choice"`
}

// Outcome is one thing that can become of a packet.
type Outcome struct {
	Backend string `json:"backend,omitempty"`
	// SourceIP and DestinationKept are what the backend sees.
	SourceIP        string `json:"sourceIP,omitempty"`
	DestinationKept bool   `json:"destinationKept,omitempty"`
	// Local: the backend is a pod on this node.
	Local bool `json:"local,omitempty"`
	// Lost says why it does not arrive.
	Lost string `json:"lost,omitempty"`
	Note string `json:"note,omitempty"`
	// Rule is the section of docs/hns.md with the rule that decided.
	Rule string `json:"rule"`
	// Chosen marks the one for the source port that was asked for.
	Chosen bool `json:"chosen,omitempty"`
}

// Lost tells whether an outcome is that the packet is lost.
func (r Result) Lost() bool {
	return slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return o.Lost != "" })
}

// Follow says what becomes of a packet. fromPort marks the outcome of that source port; 0 marks
// none.
func (n *Node) Follow(p Packet) Result {
	r := Result{From: p.From.String(), To: p.To, Protocol: p.Protocol.String(), Notes: slices.Clone(n.Notes)}
	if lb, ok := n.model.LoadBalancer(p); ok {
		r.LoadBalancer = describe(lb.LoadBalancer)
	}
	chosen := n.model.Trace(p)
	for _, v := range n.model.TraceAll(p) {
		o := n.outcome(v)
		o.Chosen = p.FromPort != 0 && v == chosen
		r.Outcomes = append(r.Outcomes, o)
	}
	if r.LoadBalancer == nil && n.isHost(p.To.Addr()) {
		r.Notes = append(r.Notes, "HNS does not tell which programs of the node listen on a port; --listener names one")
	}
	if r.Lost() && strings.Contains(r.Outcomes[len(r.Outcomes)-1].Lost, "loopbackDSR") {
		r.Notes = append(r.Notes, "HNS does not tell whether the network plugin sets loopbackDSR; --loopback-dsr says that it does")
	}
	return r
}

func (n *Node) outcome(v vfp.Verdict) Outcome {
	o := Outcome{Rule: v.Section}
	if !v.Reached() {
		o.Lost = v.Reason
		return o
	}
	o.Backend, o.SourceIP, o.DestinationKept, o.Note = v.Backend.String(), v.SourceIP.String(), v.DestinationKept, v.Reason
	o.Local = n.model.IsLocal(v.Backend.Addr())
	return o
}

func (n *Node) isHost(ip netip.Addr) bool {
	return slices.ContainsFunc(n.snapshot.Networks, func(net hnslb.Network) bool { return net.ManagementIP == ip || ipv6Of(net) == ip })
}

func describe(lb hnslb.LoadBalancer) *LoadBalancer {
	out := &LoadBalancer{ID: lb.ID, Frontend: lb.ObjectName(), Mode: "without DSR", Backends: len(lb.Endpoints), Choice: "five-tuple"}
	if lb.Flags&hnslb.DSR != 0 {
		out.Mode = "DSR"
	}
	if lb.SourceVIP.IsValid() {
		out.SourceVIP = lb.SourceVIP.String()
	}
	if len(lb.Mappings) > 0 && lb.Mappings[0].Distribution != hnslb.FiveTuple {
		out.Choice = "source IP"
	}
	return out
}

// ParseFrom reads where a packet starts: "host", the address of a pod of this node, or any other.
// "outside 10.0.0.9" makes an address one of another machine, "pod 10.244.1.5" one of a pod here.
func (n *Node) ParseFrom(text string) (vfp.Source, error) {
	kind, rest, two := strings.Cut(strings.TrimSpace(text), ":")
	if !two || kind != "outside" && kind != "pod" {
		kind, rest = "", text
	}
	if rest == "host" {
		return vfp.Host(), nil
	}
	ip, err := netip.ParseAddr(rest)
	if err != nil || ip.Zone() != "" {
		return vfp.Source{}, fmt.Errorf("%q is neither \"host\" nor an IP address", text)
	}
	ip = ip.Unmap()
	switch {
	case kind == "pod" || kind == "" && n.model.IsLocal(ip):
		return vfp.LocalPod(ip), nil
	case kind == "" && n.isHost(ip):
		return vfp.Host(), nil
	}
	return vfp.Outside(ip), nil
}

// ParseTo reads IP:PORT, with /TCP or /UDP behind it; TCP is the default.
func ParseTo(text string) (netip.AddrPort, hnslb.Protocol, error) {
	at, name, _ := strings.Cut(text, "/")
	protocol, err := hnslb.ParseProtocol(strings.ToUpper(cmp.Or(name, "TCP")))
	to, bad := netip.ParseAddrPort(at)
	if err != nil || bad != nil || to.Addr().Zone() != "" {
		return netip.AddrPort{}, 0, fmt.Errorf("%q is not written as IP:PORT, IP:PORT/UDP or [IPv6]:PORT", text)
	}
	return netip.AddrPortFrom(to.Addr().Unmap(), to.Port()), protocol, nil
}

// ParseListener reads PORT/TCP or PORT/UDP.
func ParseListener(text string) (vfp.HostPort, error) {
	port, name, _ := strings.Cut(text, "/")
	number, err := strconv.ParseUint(port, 10, 16)
	protocol, bad := hnslb.ParseProtocol(strings.ToUpper(cmp.Or(name, "TCP")))
	if err != nil || bad != nil || number == 0 {
		return vfp.HostPort{}, fmt.Errorf("%q is not written as PORT/TCP or PORT/UDP", text)
	}
	return vfp.HostPort{Protocol: protocol, Port: uint16(number)}, nil
}
