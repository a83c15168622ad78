// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package vfp

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// Source is where a packet starts.
type Source struct {
	kind sourceKind
	ip   netip.Addr
}

type sourceKind uint8

const (
	fromHost sourceKind = iota
	fromPod
	fromOutside
)

// LocalPod is a pod on this node, by one of its addresses. A packet to the other family
// leaves from the pod's address of that family.
func LocalPod(ip netip.Addr) Source { return Source{fromPod, ip} }

// Host is the node itself.
func Host() Source { return Source{kind: fromHost} }

// Outside is any other machine: another node, a pod there, or a client from elsewhere.
func Outside(ip netip.Addr) Source { return Source{fromOutside, ip} }

// String prints "host", "pod 10.244.1.5" or "outside 203.0.113.9".
func (s Source) String() string {
	switch s.kind {
	case fromPod:
		return "pod " + s.ip.String()
	case fromOutside:
		return "outside " + s.ip.String()
	}
	return "host"
}

// HostPort is a port of the host's TCP/IP stack.
type HostPort struct {
	Protocol hnslb.Protocol
	Port     uint16
}

// Packet is the first packet of a new flow. Whether flows that exist stay where they are
// when a load balancer changes is said by Flow.
type Packet struct {
	From Source
	// FromPort chooses the backend where the hash counts ports; 0 is a port like others.
	FromPort uint16
	To       netip.AddrPort
	Protocol hnslb.Protocol
}

// Verdict is what becomes of a packet.
type Verdict struct {
	// Backend is where it arrives; not valid when it is lost.
	Backend netip.AddrPort
	// SourceIP is the source address that the backend sees.
	SourceIP netip.Addr
	// DestinationKept: the backend sees the destination that the client chose.
	DestinationKept bool
	// Reason says why the packet is lost, or what is unusual about its arrival.
	Reason string
	// Section of docs/hns.md that tells of the rule which decided.
	Section string
}

// Reached tells whether the packet arrives.
func (v Verdict) Reached() bool { return v.Backend.IsValid() }

// String is one line for golden files: "10.244.1.5:8080 from 10.244.1.9" or
// "lost: no load balancer on 10.96.0.1:443/TCP".
func (v Verdict) String() string {
	if !v.Reached() {
		return "lost: " + v.Reason
	}
	s := v.Backend.String() + " from " + v.SourceIP.String()
	if v.DestinationKept {
		s += ", destination kept"
	}
	if v.Reason != "" {
		s += " (" + v.Reason + ")"
	}
	return s
}

func lost(section, reason string) Verdict { return Verdict{Reason: reason, Section: section} }

// hashOf is the choice that VFP makes for a new flow: by both addresses for SourceIP, by
// the protocol too for SourceIPProtocol, else by the five-tuple (docs/hns.md, Flags).
func hashOf(p Packet, d hnslb.Distribution) uint64 {
	h := fnv.New64a()
	src, dst := p.From.ip.As16(), p.To.Addr().As16()
	h.Write(src[:])
	h.Write(dst[:])
	if d != hnslb.SourceIP {
		h.Write([]byte{byte(p.Protocol)})
	}
	if d == hnslb.FiveTuple {
		h.Write(binary.BigEndian.AppendUint16(nil, p.FromPort))
		h.Write(binary.BigEndian.AppendUint16(nil, p.To.Port()))
	}
	return h.Sum64()
}
