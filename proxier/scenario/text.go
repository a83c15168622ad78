// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/proxier"
)

// Text is what the check hns prints: the emulator's dump without what every reader of a
// scenario knows, the network of the pods and the MACs that follow from addresses.
func (h *HNS) Text() string {
	var out strings.Builder
	for line := range strings.Lines(h.Dump()) {
		if strings.HasPrefix(line, "network "+PodNetwork+" ") {
			continue
		}
		line = strings.Replace(line, " network="+PodNetwork, "", 1)
		out.WriteString(strings.Replace(line, usualMAC(line), "", 1))
	}
	return out.String()
}

// usualMAC returns the MAC field that the endpoint of a line has when it is a pod's or a
// remote one of ours.
func usualMAC(line string) string {
	words := strings.Fields(line)
	if words[0] != "endpoint" {
		return ""
	}
	addr, _, _ := strings.Cut(words[1], ",")
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return ""
	}
	if words[2] == "remote" {
		return " mac=" + strings.ToUpper(hnslb.RemoteMAC(ip))
	}
	return " mac=" + podMAC(ip)
}

// podMAC is the MAC that flannel and Calico give a pod: 0E-2A and the IPv4 address.
func podMAC(ip netip.Addr) string {
	b := ip.As16()
	return fmt.Sprintf("0E-2A-%02X-%02X-%02X-%02X", b[12], b[13], b[14], b[15])
}

// StatusText is what the check status prints: the state of each frontend, with the reason.
func StatusText(rows []proxier.FrontendStatus) string {
	var out strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&out, "%s %s %s %s", r.Frontend.Service, r.Frontend.Kind, r.Frontend.Key, r.State)
		between := " "
		for _, n := range r.Notes() {
			fmt.Fprintf(&out, "%s%s: %s", between, n.Reason, n.Message)
			between = "; "
		}
		out.WriteByte('\n')
	}
	return WithoutIDs(out.String())
}

// WithoutIDs replaces GUIDs, which depend on everything that happened before.
func WithoutIDs(s string) string {
	return regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllString(s, "ID")
}

// Trace carries out the check trace of these arguments, a section's name or SOURCE FRONTEND ->
// RESULT: it returns the text that is wanted and the one that is right now.
func (h *HNS) Trace(s *Script, args []string) (want, got string, err error) {
	if len(args) > 3 && args[2] == "->" {
		want = strings.Join(args, " ")
	} else if len(args) != 1 {
		return "", "", fmt.Errorf("want a section, or SOURCE FRONTEND -> RESULT")
	} else if want, err = s.Section(args[0], h.network); err != nil {
		return "", "", err
	}
	var out strings.Builder
	for line := range strings.Lines(want) {
		words := strings.Fields(line)
		if len(words) < 2 {
			return "", "", fmt.Errorf("%q: want SOURCE FRONTEND -> RESULT", line)
		}
		way, err := h.trace(words[0], words[1])
		if err != nil {
			return "", "", fmt.Errorf("%q: %w", line, err)
		}
		fmt.Fprintf(&out, "%s %s -> %s\n", words[0], words[1], way)
	}
	return strings.TrimSuffix(want, "\n") + "\n", out.String(), nil
}

// trace says what can become of new flows from a source to a frontend: arrivals that
// differ in the backend only stand together.
func (h *HNS) trace(from, to string) (string, error) {
	p, err := ParsePacket(from, to)
	if err != nil {
		return "", err
	}
	var texts, backends []string
	var last string
	flush := func() {
		if len(backends) > 0 {
			texts = append(texts, strings.Join(backends, ",")+last)
			backends = nil
		}
	}
	for _, v := range h.TraceAll(p) {
		if !v.Reached() {
			flush()
			texts = append(texts, v.String())
			continue
		}
		backend := v.Backend.String()
		rest := strings.TrimPrefix(v.String(), backend)
		if rest != last {
			flush()
		}
		backends, last = append(backends, backend), rest
	}
	flush()
	return strings.Join(texts, "; "), nil
}

// ParsePacket reads a source, "host", "pod:IP" or "outside:IP", and a frontend.
func ParsePacket(from, to string) (emulator.Packet, error) {
	source, err := parseSource(from)
	if err != nil {
		return emulator.Packet{}, err
	}
	addr, protocol, _ := strings.Cut(to, "/")
	dst, err := netip.ParseAddrPort(addr)
	if err != nil {
		return emulator.Packet{}, err
	}
	p, err := hnslb.ParseProtocol(protocol)
	return emulator.Packet{From: source, To: dst, Protocol: p}, err
}

func parseSource(text string) (emulator.Source, error) {
	kind, addr, _ := strings.Cut(text, ":")
	if kind == "host" {
		return emulator.Host(), nil
	}
	ip, err := netip.ParseAddr(addr)
	switch {
	case err != nil:
		return emulator.Source{}, err
	case kind == "pod":
		return emulator.LocalPod(ip), nil
	case kind == "outside":
		return emulator.Outside(ip), nil
	}
	return emulator.Source{}, fmt.Errorf("%q: want host, pod:IP or outside:IP", text)
}
