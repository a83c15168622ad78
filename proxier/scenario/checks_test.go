// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// checkHNS compares what HNS holds with a section.
func checkHNS(w *world, section string) error {
	w.settle()
	w.golden(section, w.hnsText())
	w.checkLaws()
	return nil
}

// hnsText is the emulator's dump without what every reader of a scenario knows: the
// network of the pods, and the MACs that follow from addresses.
func (w *world) hnsText() string {
	var out strings.Builder
	for line := range strings.Lines(w.hns.Dump()) {
		if strings.HasPrefix(line, "network "+networkName+" ") {
			continue
		}
		line = strings.Replace(line, " network="+networkName, "", 1)
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

// frontendText names a frontend and whose it is.
func frontendText(f *desired.Frontend) string {
	return fmt.Sprintf("%s %s %s", f.Service, f.Kind, f.Key)
}

// checkStatus compares the state of each frontend, with the reason, with a section.
func checkStatus(w *world, section string) error {
	w.settle()
	if w.proxy == nil {
		return fmt.Errorf("the proxy is stopped")
	}
	var out strings.Builder
	for _, r := range w.proxy.Table().Rows() {
		line := fmt.Sprintf("%s %s", frontendText(r.Frontend), r.State)
		between := " "
		for _, n := range r.Notes() {
			line += fmt.Sprintf("%s%s: %s", between, n.Reason, n.Message)
			between = "; "
		}
		out.WriteString(withoutIDs(line) + "\n")
	}
	w.golden(section, out.String())
	return nil
}

// withoutIDs replaces GUIDs, which depend on everything that happened before.
func withoutIDs(s string) string {
	return regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllString(s, "ID")
}

// checkTrace checks one way inline, "SOURCE FRONTEND -> RESULT", or all lines of a section.
func checkTrace(w *world, args []string) error {
	w.settle()
	if len(args) > 3 && args[2] == "->" {
		got, err := w.trace(args[0], args[1])
		if err != nil {
			return err
		}
		if want := strings.Join(args[3:], " "); got != want {
			w.t.Errorf("%s\n got %s", w.at, got)
		}
		return nil
	}
	if len(args) != 1 {
		return fmt.Errorf("want a section, or SOURCE FRONTEND -> RESULT")
	}
	text, ok := w.script.section(args[0], w.way.network)
	if !ok {
		return fmt.Errorf("no section %q", args[0])
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			return fmt.Errorf("section %s: %q: want SOURCE FRONTEND -> RESULT", args[0], line)
		}
		got, err := w.trace(words[0], words[1])
		if err != nil {
			return fmt.Errorf("section %s: %q: %w", args[0], line, err)
		}
		fmt.Fprintf(&out, "%s %s -> %s\n", words[0], words[1], got)
	}
	w.golden(args[0], out.String())
	return nil
}

// checkFlow sends a packet of a flow that VFP remembers from one such line to the next.
func checkFlow(w *world, args []string) error {
	w.settle()
	if len(args) < 4 || args[2] != "->" {
		return fmt.Errorf("want SOURCE FRONTEND -> RESULT")
	}
	p, err := parsePacket(args[0], args[1])
	if err != nil {
		return err
	}
	f := w.flows[p]
	if f == nil {
		f = w.hns.Flow(p)
		w.flows[p] = f
	}
	if got, want := f.Send().String(), strings.Join(args[3:], " "); got != want {
		w.t.Errorf("%s\n got %s", w.at, got)
	}
	return nil
}

func parsePacket(from, to string) (emulator.Packet, error) {
	source, err := parseSource(from)
	if err != nil {
		return emulator.Packet{}, err
	}
	addr, protocol, _ := strings.Cut(to, "/")
	dst, err := netip.ParseAddrPort(addr)
	p := emulator.Packet{From: source, To: dst, Protocol: hnslb.TCP}
	if protocol == "UDP" {
		p.Protocol = hnslb.UDP
	}
	return p, err
}

// trace says what can become of new flows from a source to a frontend: arrivals that
// differ in the backend only stand together.
func (w *world) trace(from, to string) (string, error) {
	p, err := parsePacket(from, to)
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
	for _, v := range w.hns.TraceAll(p) {
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

// parseSource reads "host", "pod:IP" or "outside:IP".
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

// checkCalls compares the calls that reached HNS since the last reset or check of calls.
func checkCalls(w *world, args []string) error {
	w.settle()
	counts := w.hns.Counts()
	var got []string
	for _, v := range hnslb.Verbs() {
		if counts[v] > 0 {
			got = append(got, fmt.Sprintf("%s=%d", v, counts[v]))
		}
	}
	if len(got) == 0 {
		got = []string{"none"}
	}
	if !slices.Equal(got, args) {
		w.t.Errorf("%s\n got calls %s", w.at, strings.Join(got, " "))
	}
	w.hns.ResetCounts()
	return nil
}

// checkDark compares for how long a frontend served nobody since the last reset: the
// longest time, and how often when it was more than once.
func checkDark(w *world, args []string) error {
	w.settle()
	if len(args) < 2 {
		return fmt.Errorf("want a frontend and a duration")
	}
	key, err := parseKey(args[0])
	if err != nil {
		return err
	}
	d, served := w.hns.Dark()[key]
	got := d.Longest.String()
	if d.Times > 1 {
		got += fmt.Sprintf(" x%d", d.Times)
	}
	if _, still := w.hns.StillDark()[key]; still {
		got = "still"
	}
	if !served {
		got = "never served"
	}
	if want := strings.Join(args[1:], " "); got != want {
		w.t.Errorf("%s\n got dark %s %s", w.at, args[0], got)
	}
	return nil
}

// checkEvents compares the Events since the last check, sorted.
func checkEvents(w *world, section string) error {
	w.settle()
	w.telling.Lock()
	defer w.telling.Unlock()
	slices.Sort(w.events)
	var out strings.Builder
	for _, e := range w.events {
		out.WriteString(withoutIDs(e) + "\n")
	}
	w.events = nil
	w.golden(section, out.String())
	return nil
}

// reset begins the counts, dark times and events anew.
func reset(w *world, _ []string) error {
	w.settle()
	w.hns.ResetCounts()
	w.hns.ResetDark()
	w.telling.Lock()
	defer w.telling.Unlock()
	w.events = nil
	return nil
}
