// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hnsproxy/hnsproxy/e2e/harness"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestEvents has a Service with a port that Windows cannot serve: its users find out from an Event that the API server took,
// and that is sent once, whatever happens to the Service.
func TestEvents(t *testing.T) {
	for _, setup := range bothWays(harness.Setup{Profile: profiles.WS2022()}) {
		t.Run(setup.String(), func(t *testing.T) { events(t, setup) })
	}
}

func events(t *testing.T, setup harness.Setup) {
	t.Helper()
	w := harness.New(t, plane, setup)
	group := w.Group("web", 2)
	service := w.Service("web", func(s *corev1.Service) {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "sctp", Port: 81, Protocol: corev1.ProtocolSCTP})
	})
	proxy := w.StartProxy()
	w.Converge()

	w.Eventually("tell of the port", func() bool { return len(eventsOf(t, w, w.Namespace, "web")) > 0 })
	w.Must(group.Scale(t.Context(), 5))
	w.Converge()
	w.UpdateService("web", func(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP })
	w.Converge()
	w.Fence()
	got := eventsOf(t, w, w.Namespace, "web")
	for i := range got {
		got[i].ObjectMeta, got[i].EventTime = metav1.ObjectMeta{}, metav1.MicroTime{}
	}
	want := []eventsv1.Event{{
		Type: "Warning", Reason: "ProtocolUnsupported", Action: "ProgramService",
		ReportingController: "hnsproxy", ReportingInstance: w.Node,
		Regarding: corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: w.Namespace, Name: "web", UID: service.UID},
		Note:      fmt.Sprintf("%s:81/SCTP, [%s]:81/SCTP: HNS supports TCP and UDP only", service.Spec.ClusterIPs[0], service.Spec.ClusterIPs[1]),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Events on the Service (-want +got):\n%s", diff)
	}
	if n := proxy.Metrics().Value("hnsproxy_frontends_limited", "state", "blocked", "reason", "ProtocolUnsupported"); n != 2 {
		t.Errorf("hnsproxy_frontends_limited counts %v, want 2", n)
	}
	if n := proxy.Metrics().Value("hnsproxy_events_total", "result", "ok"); n != 2 {
		t.Errorf("hnsproxy_events_total counts %v, want one for the Node and one for the Service", n)
	}
	if start := eventsOf(t, w, metav1.NamespaceDefault, w.Node); len(start) != 1 || start[0].Reason != "Starting" || start[0].Regarding.Kind != "Node" {
		t.Errorf("Events on the Node: %v", start)
	}
}

// eventsOf returns what hnsproxy has told of an object.
func eventsOf(t *testing.T, w *harness.World, namespace, name string) []eventsv1.Event {
	t.Helper()
	all, err := w.Plane.Admin.EventsV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
	w.Must(err)
	var out []eventsv1.Event
	for _, e := range all.Items {
		if e.Regarding.Name == name && e.ReportingController == "hnsproxy" {
			out = append(out, e)
		}
	}
	return out
}
