// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// clients are all who send.
func (w *world) clients() []client {
	out := []client{
		{theNode, managementIPs()},
		{remotePod, host(11).addrs()},
		{outsider, addresses("198.51.100.77", "2001:db8:77::77")},
	}
	if w.machine.Overlay {
		out[0].addrs = out[0].addrs[:1]
	}
	for h := host(1); h <= podsHere; h++ {
		if w.local[h] {
			pod := client{localPod, h.addrs()}
			if w.machine.Overlay {
				pod.addrs = pod.addrs[:1]
			}
			out = append(out, pod)
		}
	}
	return out
}

// target is where packets are sent to.
type target struct {
	to       netip.AddrPort
	protocol corev1.Protocol
}

// targets are all addresses and ports that a Service has, had or could have.
func targets() []target {
	var vips []netip.Addr
	for i := range services {
		vips = append(vips, clusterIPs(i)...)
	}
	vips = append(append(vips, externalIPs()...), ingressAddresses()...)
	slices.SortFunc(vips, netip.Addr.Compare)
	var out []target
	add := func(ips []netip.Addr, ports ...uint16) {
		for _, ip := range slices.Compact(ips) {
			for _, port := range ports {
				for _, p := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP} {
					out = append(out, target{netip.AddrPortFrom(ip, port), p})
				}
			}
		}
	}
	add(vips, 80, 53)
	for i := range uint16(nodePortCount) {
		add(nodeAddresses(), firstNodePort+i)
	}
	return out
}

// check sends a packet from everybody to everywhere.
func (w *world) check(used tally) error {
	o := newOracle(w.cluster(), used)
	for _, from := range w.clients() {
		for _, t := range targets() {
			p := packet{from, t.to, t.protocol}
			if !from.addr(t.to.Addr()).IsValid() {
				continue
			}
			if err := w.send(o, p); err != nil {
				return err
			}
		}
		if err := w.checkPods(from, used); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) send(o *oracle, p packet) error {
	s := w.machine.onWindows(p, o.ask(p), o.used)
	outcomes := w.hns.TraceAll(w.emulated(p, 0))
	if err := s.judge(outcomes); err != nil {
		return fmt.Errorf("%s %s to %s/%s: %w\nbecomes: %v\n%s", p.from.where, p.from.addr(p.to.Addr()), p.to, p.protocol, err,
			outcomes, s.describe())
	}
	if len(outcomes) > 1 && s.answer.promised {
		return w.checkSticky(s)
	}
	return nil
}

// checkSticky: "connections from a particular client are passed to the same Pod each
// time". (Service: "Session affinity")
func (w *world) checkSticky(s *situation) error {
	if s.answer.claim.service.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		return nil
	}
	first := w.hns.Trace(w.emulated(s.packet, 1024))
	for port := uint16(1025); port < 1033; port++ {
		next := w.hns.Trace(w.emulated(s.packet, port))
		switch {
		case next.Backend == first.Backend:
		case !s.affinity:
			s.used.note(noAffinity)
			return nil
		default:
			return fmt.Errorf("%s to %s: two connections reach %s and %s in spite of session affinity", s.packet.from.where,
				s.packet.to, first.Backend, next.Backend)
		}
	}
	if s.affinity {
		s.used.note(stickyClients)
	}
	return nil
}

// checkPods: "pods can communicate with all other pods on any other node without NAT", and
// no proxy gets in the way of that. Pods elsewhere are not asked: the emulator knows the
// routes of HNS endpoints only. (Cluster Networking)
func (w *world) checkPods(from client, used tally) error {
	for h := host(1); h <= podsHere; h++ {
		for _, ip := range h.addrs() {
			source := from.addr(ip)
			if !w.local[h] || !source.IsValid() || w.machine.Overlay && ip.Is6() {
				continue
			}
			for _, port := range []uint16{80, 8080} {
				p := packet{from, netip.AddrPortFrom(ip, port), corev1.ProtocolTCP}
				s := situation{packet: p}
				outcomes := w.hns.TraceAll(w.emulated(p, 0))
				if len(outcomes) != 1 || !s.untouched(outcomes[0]) {
					return fmt.Errorf("%s %s to the pod %s: %v", from.where, source, p.to, outcomes)
				}
				used.note(podToPod)
			}
		}
	}
	return nil
}

// emulated is the packet as the emulator takes it.
func (w *world) emulated(p packet, port uint16) emulator.Packet {
	out := emulator.Packet{FromPort: port, To: p.to, Protocol: map[corev1.Protocol]hnslb.Protocol{
		corev1.ProtocolTCP: hnslb.TCP, corev1.ProtocolUDP: hnslb.UDP, corev1.ProtocolSCTP: hnslb.SCTP}[p.protocol]}
	switch ip := p.from.addr(p.to.Addr()); p.from.where {
	case localPod:
		out.From = emulator.LocalPod(ip)
	case theNode:
		out.From = emulator.Host()
	default:
		out.From = emulator.Outside(ip)
	}
	return out
}
