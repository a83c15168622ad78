// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/events"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
)

// takePort holds a port of this machine until the test ends.
func takePort(t *testing.T, address string) *net.TCPAddr {
	t.Helper()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	return taken.Addr().(*net.TCPAddr)
}

// TestEvents: the Node hears of the start, a Service of what Windows cannot do for it and of
// a port that is taken, all with their UIDs and from this node.
func TestEvents(t *testing.T) {
	t.Parallel()
	svc, taken := fatService(), takePort(t, ":0")
	svc.UID, svc.Spec.HealthCheckNodePort = "s-1", int32(taken.Port)
	svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "sctp", Protocol: corev1.ProtocolSCTP, Port: 81})
	s, address := newAPIServer(t, svc)
	r := start(t, func(o *Options, _ *Deps) { o.Hostname, o.Network, o.Master = "me", "pods", address })
	var got []string
	r.eventually("send Events", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		got = slices.Sorted(slices.Values(s.events))
		return len(got) == 3
	})
	if port := fmt.Sprintf("Warning FailedToStartServiceHealthcheck on Service web s-1 by hnsproxy on me: "+
		"node me cannot open health-check node port %d: ", taken.Port); !strings.HasPrefix(got[1], port) {
		t.Errorf("Event %q, want %q", got[1], port)
	}
	got = slices.Delete(got, 1, 2)
	want := []string{
		"Normal Starting on Node me n-1 by hnsproxy on me: hnsproxy " + ownVersion() + " is programming HNS network pods",
		"Warning ProtocolUnsupported on Service web s-1 by hnsproxy on me: " +
			"10.96.0.5:81/SCTP, 192.0.2.1:81/SCTP, 203.0.113.1:81/SCTP, [fd00::5]:81/SCTP: HNS supports TCP and UDP only",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, page := r.get("metrics", "/metrics"); !strings.Contains(page, "\nhnsproxy_events_total{result=\"ok\"} 3\n") ||
		!strings.Contains(page, `hnsproxy_frontends_limited{reason="ProtocolUnsupported",state="blocked"} 4`) {
		t.Errorf("the metrics tell nothing of it:\n%s", page)
	}
}

// TestListenEvents: a port that cannot be opened is told on the Node, even by a program that
// ends with it.
func TestListenEvents(t *testing.T) {
	t.Parallel()
	taken, svc := takePort(t, "127.0.0.1:0").String(), fatService()
	svc.Spec.HealthCheckNodePort = 0
	s, address := newAPIServer(t, svc)
	o := NewOptions()
	o.HNS, o.Network, o.Hostname, o.Master = Emulator, "n", "me", address
	o.HealthzBindAddress, o.MetricsBindAddress, o.BindAddressHardFail = taken, "", true
	if err := Run(t.Context(), *o, Deps{Emulate: emulate, Out: io.Discard}); err == nil {
		t.Error("no error")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.events, func(e string) bool {
		return strings.HasPrefix(e, "Warning FailedToStartProxierHealthcheck on Node me ") && strings.Contains(e, taken)
	}) {
		t.Errorf("Events %q", s.events)
	}
}

// sink notes Events instead of an API server.
type sink struct {
	mu      sync.Mutex
	events  []*eventsv1.Event
	patches int
	err     error
	// takes is how long a request takes; cut tells that one was not waited for.
	takes time.Duration
	cut   bool
}

func (s *sink) Create(ctx context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		s.cut = true
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	return e, s.err
}

func (s *sink) Update(context.Context, *eventsv1.Event) (*eventsv1.Event, error) {
	return nil, errors.New("never used")
}

func (s *sink) Patch(_ context.Context, e *eventsv1.Event, _ []byte) (*eventsv1.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.patches++
	return e, s.err
}

// announce sends some Events into a sink and returns the result label that they count under.
func announce(t *testing.T, s *sink, node string, send ...events.Event) string {
	t.Helper()
	result := "none"
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		a, err := startEventSender(t.Context(), s, node, metrics.New(reg))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range send {
			a.serviceEvents()(e)
			synctest.Wait()
		}
		a.close()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "hnsproxy_events_total" && m.GetCounter().GetValue() > 0 {
					result = m.GetLabel()[0].GetValue()
				}
			}
		}
	})
	return result
}

func anEvent() events.Event {
	return events.Event{Service: services.Name{Namespace: "shop", Name: "web"}, UID: "s-1", Warning: true,
		Reason: desired.NoProtocol, Message: "no SCTP, 100 % sure"}
}

// TestEventSender: an Event has all that the API asks for, and its limits.
func TestEventSender(t *testing.T) {
	s, long := &sink{}, anEvent()
	long.Message = strings.Repeat("ä", maxNoteBytes)
	long.Reason = desired.Conflict
	announce(t, s, strings.Repeat("n", 200), anEvent(), long)
	e := s.events[0]
	e.Name, e.EventTime = "", metav1.MicroTime{}
	if diff := cmp.Diff(&eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: "shop"},
		ReportingController: "hnsproxy", ReportingInstance: strings.Repeat("n", 128),
		Action: "ProgramService", Reason: "ProtocolUnsupported", Type: "Warning", Note: "no SCTP, 100 % sure",
		Regarding: corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: "shop", Name: "web", UID: "s-1"},
	}, e); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if note := s.events[1].Note; len(note) > maxNoteBytes || len(note) < maxNoteBytes-3 || !utf8.ValidString(note) {
		t.Errorf("a note of %d bytes, valid %t", len(note), utf8.ValidString(note))
	}
}

// TestSeries: what comes again within minutes is a series of the first Event.
func TestSeries(t *testing.T) {
	s := &sink{}
	announce(t, s, "me", anEvent(), anEvent())
	if len(s.events) != 1 || s.patches != 1 {
		t.Errorf("%d Events made, %d patched", len(s.events), s.patches)
	}
}

// TestLastWord: an Event of the last moment is not cut off, and one that hangs holds up the
// end for a moment only.
func TestLastWord(t *testing.T) {
	for _, tt := range []struct{ takes, want time.Duration }{{eventFlushTimeout/2 - time.Millisecond, eventFlushTimeout / 2}, {time.Hour, eventFlushTimeout}} {
		synctest.Test(t, func(t *testing.T) {
			s := &sink{takes: tt.takes}
			a, err := startEventSender(t.Context(), s, "me", metrics.New(prometheus.NewRegistry()))
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			a.serviceEvents()(anEvent())
			a.close()
			if took := time.Since(begin); took != tt.want {
				t.Errorf("an Event that takes %v lets the end wait for %v", tt.takes, took)
			}
			synctest.Wait()
			if cut := tt.takes > eventFlushTimeout; s.cut != cut {
				t.Errorf("an Event that takes %v is cut off: %t", tt.takes, s.cut)
			}
		})
	}
}

// TestEventsRefused: refusals count, but for those of a namespace that is going away.
func TestEventsRefused(t *testing.T) {
	refusal := func(causes ...metav1.StatusCause) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusForbidden,
			Reason: metav1.StatusReasonForbidden, Details: &metav1.StatusDetails{Causes: causes}}}
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, "ok"},
		{refusal(), "error"},
		{refusal(metav1.StatusCause{Type: corev1.NamespaceTerminatingCause}), "ok"},
	} {
		if got := announce(t, &sink{err: tt.err}, "me", anEvent()); got != tt.want {
			t.Errorf("%v counts as %s, want %s", tt.err, got, tt.want)
		}
	}
}

// TestNoEventSender: without API server there is nobody to send to.
func TestNoEventSender(t *testing.T) {
	p := &program{opts: *NewOptions()}
	p.opts.Objects = []string{"x"}
	a, err := p.newEventSender(t.Context())
	if a != nil || err != nil || a.serviceEvents() != nil {
		t.Errorf("event sender %v, %v", a, err)
	}
	a.send(nil, "", "", "", "")
	begin := time.Now()
	if a.close(); time.Since(begin) > time.Second {
		t.Error("waits for nothing")
	}
}

// TestEventNames: Events of one Service in one tick of the clock have names of their own, also
// those of other nodes; a second try keeps the name.
func TestEventNames(t *testing.T) {
	event := func(reason string) *eventsv1.Event {
		e := &eventsv1.Event{Reason: reason, Note: "note", Type: "Warning"}
		e.Name = strings.Repeat("s", 63) + ".1700000000000000"
		return e
	}
	seen := map[string]bool{}
	for _, node := range []string{"n1", "n2"} {
		for _, reason := range []string{"FrontendConflict", "IPv6Unsupported"} {
			e := event(reason)
			e.Name = uniqueName(e, node)
			if seen[e.Name] || len(e.Name) > 253 || len(utilvalidation.IsDNS1123Subdomain(e.Name)) > 0 {
				t.Errorf("name %q is taken or no name", e.Name)
			}
			seen[e.Name] = true
			if again := uniqueName(e, node); again != e.Name {
				t.Errorf("the second try is named %q, want %q", again, e.Name)
			}
		}
	}
}
