// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// Clients.

// FromPod is a local Pod.
func FromPod(pod *corev1.Pod) emulator.Source {
	return emulator.LocalPod(netip.MustParseAddr(pod.Status.PodIP))
}

// FromMaster is the Linux node with the control plane.
func FromMaster() emulator.Source { return emulator.Outside(netip.MustParseAddr(LinuxIP)) }

// FromInternet is a machine outside the cluster.
func FromInternet() emulator.Source { return emulator.Outside(netip.MustParseAddr("198.51.100.7")) }

// TCP is a packet to an address and port.
func TCP(from emulator.Source, ip string, port int32) emulator.Packet {
	return emulator.Packet{From: from, To: netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(port)), Protocol: hnslb.TCP}
}

// UDP is a packet to an address and port.
func UDP(from emulator.Source, ip string, port int32) emulator.Packet {
	packet := TCP(from, ip, port)
	packet.Protocol = hnslb.UDP
	return packet
}

// Reaches holds that new flows of a packet reach exactly these backends, and that none is lost. It returns the verdicts.
func (w *World) Reaches(packet emulator.Packet, backends ...string) []emulator.Verdict {
	w.tb.Helper()
	var got []string
	verdicts := w.HNS.TraceAll(packet)
	for _, v := range verdicts {
		got = append(got, cmp.Or(v.Reason, v.Backend.String()))
		if v.Reached() {
			got[len(got)-1] = v.Backend.String()
		}
	}
	slices.Sort(got)
	slices.Sort(backends)
	if diff := gocmp.Diff(backends, got); diff != "" {
		w.tb.Errorf("%s %s from %s reaches (-want +got):\n%s\n%s", packet.To, packet.Protocol, packet.From, diff, w.report())
	}
	return verdicts
}

// Lost holds that a packet arrives nowhere.
func (w *World) Lost(packet emulator.Packet) {
	w.tb.Helper()
	if reached := w.HNS.Reachable(packet); len(reached) > 0 {
		w.tb.Errorf("%s %s from %s reaches %v, want nobody", packet.To, packet.Protocol, packet.From, reached)
	}
}

// Traffic is a client that never stops.
type Traffic struct {
	stop   chan struct{}
	done   sync.WaitGroup
	rounds int
	lost   []string
}

// Traffic begins to follow packets every millisecond, with each backend that VFP could choose, until Traffic.Stop. Lost are those
// that do not reach a Pod that lives.
func (w *World) Traffic(packets ...emulator.Packet) *Traffic {
	return follow(packets, w.network.misses)
}

// Trap follows packets as Traffic does; lost are those that reach one of these backends.
func (w *World) Trap(backends []string, packets ...emulator.Packet) *Traffic {
	return follow(packets, func(packet emulator.Packet) []string {
		var out []string
		for _, backend := range w.HNS.Reachable(packet) {
			if slices.Contains(backends, backend.String()) {
				out = append(out, fmt.Sprintf("%s %s from %s: %s", packet.To, packet.Protocol, packet.From, backend))
			}
		}
		return out
	})
}

func follow(packets []emulator.Packet, lost func(emulator.Packet) []string) *Traffic {
	t := &Traffic{stop: make(chan struct{})}
	t.done.Go(func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for {
			t.rounds++
			for _, packet := range packets {
				t.lost = append(t.lost, lost(packet)...)
			}
			select {
			case <-t.stop:
				return
			case <-ticker.C:
			}
		}
	})
	return t
}

// Stop ends the traffic. It returns how often each packet was followed, and which were lost.
func (t *Traffic) Stop() (rounds int, lost []string) {
	close(t.stop)
	t.done.Wait()
	return t.rounds, t.lost
}

// misses follows a packet, and tells where it arrived at no Pod that lives. No Pod comes or goes meanwhile.
func (n *network) misses(packet emulator.Packet) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []string
	for _, v := range n.hns.TraceAll(packet) {
		if !v.Reached() || !n.live[v.Backend.Addr()] {
			out = append(out, fmt.Sprintf("%s %s from %s: %s", packet.To, packet.Protocol, packet.From, v))
		}
	}
	return out
}

// Drained waits until no load balancer names a Pod any more. It is what a grace period is for, see kubelet.Group.
func (w *World) Drained(ctx context.Context, pod *corev1.Pod) error {
	ips, err := podIPs(pod)
	if err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, pollInterval, patience, true, func(context.Context) (bool, error) {
		return !w.named(ips), nil
	})
	if err != nil {
		return fmt.Errorf("wait until nobody sends to Pod %s any more: %w\n%s", key(pod), err, w.report())
	}
	return nil
}

// named tells whether a load balancer names an endpoint with one of these addresses.
func (w *World) named(ips []netip.Addr) bool {
	state := w.HNS.State()
	ids := map[hnslb.ID]bool{}
	for _, e := range state.Endpoints {
		for _, ip := range ips {
			if slices.Contains(e.IPs, ip) {
				ids[e.ID] = true
			}
		}
	}
	return slices.ContainsFunc(state.LoadBalancers, func(lb emulator.LoadBalancerState) bool {
		return slices.ContainsFunc(lb.Endpoints, func(id hnslb.ID) bool { return ids[id] })
	})
}
