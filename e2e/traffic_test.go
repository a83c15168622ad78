// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/e2e/kubelet"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// enoughRounds is how often traffic must have been followed for its result to mean something.
const enoughRounds = 20

// TestRollUnderTraffic replaces every Pod of a Service while clients of all kinds send, on an HNS that takes its time. Where
// it changes load balancers in place, nothing is ever lost and no frontend is ever dark. Where it cannot, a frontend is
// dark between one deletion and the creation after it, and no packet goes to a Pod that is gone.
func TestRollUnderTraffic(t *testing.T) {
	for _, setup := range bothWays(harness.Setups()...) {
		setup.Latency = emulator.WS2022Latency()
		t.Run(setup.String(), func(t *testing.T) {
			w := harness.New(t, plane, setup)
			group, packets := busyService(w)
			group.Grace = w.Drained
			w.StartProxy()
			w.Converge()

			w.HNS.ResetDark()
			w.HNS.ResetCounts()
			traffic := w.Traffic(packets...)
			w.Must(group.RollingUpdate(t.Context()))
			w.Converge()
			rounds, lost := traffic.Stop()
			if rounds < enoughRounds {
				t.Errorf("traffic was followed %d times only", rounds)
			}
			nothingLost(t, w, setup, lost)
		})
	}
}

// nothingLost holds that no packet was lost during a roll, since World.HNS.ResetDark and ResetCounts, but where load balancers
// have to be made anew.
func nothingLost(t *testing.T, w *harness.World, setup harness.Setup, lost []string) {
	t.Helper()
	if hnslb.FeaturesOf(setup.Profile.Version).Modify {
		w.NeverDark()
	} else {
		lost = withoutGaps(t, w, lost)
	}
	if len(lost) > 0 {
		t.Errorf("%d packets were lost:\n%s", len(lost), strings.Join(lost[:min(10, len(lost))], "\n"))
	}
}

// withoutGaps holds that frontends were dark only as often as a load balancer had to be made anew, and leaves out the packets
// that were lost since there was no load balancer.
func withoutGaps(t *testing.T, w *harness.World, lost []string) []string {
	t.Helper()
	times := 0
	for _, dark := range w.HNS.Dark() {
		times += dark.Times
	}
	if replaced := w.HNS.Counts()[hnslb.VerbDeleteLoadBalancer]; times == 0 || times > replaced {
		t.Errorf("frontends were dark %d times, want once for each of the %d load balancers that were replaced", times, replaced)
	}
	if dark := w.HNS.StillDark(); len(dark) > 0 {
		t.Errorf("still dark: %v", dark)
	}
	var rest []string
	for _, text := range lost {
		if !strings.Contains(text, "lost: no load balancer on") {
			rest = append(rest, text)
		}
	}
	return rest
}

// busyService makes a Service with a frontend of each kind, four Pods, and packets of all kinds of clients to it.
func busyService(w *harness.World) (*kubelet.Group, []emulator.Packet) {
	group := w.Group("web", 4)
	w.Service("web", func(s *corev1.Service) {
		s.Spec.Type, s.Spec.ExternalIPs = corev1.ServiceTypeLoadBalancer, []string{"198.51.100.80"}
	})
	w.Ingress("web", balancerIP)
	service, client := w.Get("web"), w.Pod("client", w.Node)
	packets := []emulator.Packet{
		harness.TCP(harness.FromMaster(), service.Spec.ClusterIP, 80),
		harness.TCP(harness.FromInternet(), balancerIP, 80),
		harness.TCP(harness.FromInternet(), "198.51.100.80", 80),
		harness.TCP(emulator.Host(), w.NodeIP, service.Spec.Ports[0].NodePort),
	}
	for _, ip := range service.Spec.ClusterIPs {
		if len(client.Status.PodIPs) > 1 || ip == service.Spec.ClusterIP {
			packets = append(packets, harness.TCP(harness.FromPod(client), ip, 80))
		}
	}
	return group, packets
}
