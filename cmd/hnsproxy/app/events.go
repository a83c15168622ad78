// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"hash/fnv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/objects"
	"github.com/hnsproxy/hnsproxy/internal/printable"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier/events"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/scheme"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
	clientevents "k8s.io/client-go/tools/events"
)

// reportingController is the reporting controller of Events.
const reportingController = "hnsproxy"

// Reasons of Events on the Node and on health checks. Except for the first action they are those of
// kube-proxy, so that existing alerts keep working.
const (
	reasonStarting      = "Starting"
	reasonHealthzFailed = "FailedToStartProxierHealthcheck"
	reasonMetricsFailed = "FailedToStartMetricServer"
	reasonPortFailed    = "FailedToStartServiceHealthcheck"

	actionStart   = "StartHNSProxy"
	actionProgram = "ProgramService"
	actionClean   = "DeleteLeftovers"
	actionListen  = "Listen"
)

const (
	// maxInstanceBytes is the API's limit for the reporting instance.
	maxInstanceBytes = 128
	// maxNoteBytes is the API's limit for the note.
	maxNoteBytes = 1024
	// eventFlushTimeout is how long the program waits at its end for Events to be sent.
	eventFlushTimeout = 2 * time.Second
)

// eventSender sends Events to the API server with client-go's recorder, which turns repeated Events
// into series. It never blocks, and drops Events that the API server rejects. A nil eventSender,
// used without an API server, sends nothing.
type eventSender struct {
	recorder clientevents.EventRecorder
	stop     func()
	node     string
	sink     clientevents.EventSink
	metrics  *metrics.Metrics
	// sent counts Events, requestsStarted and requestsDone the requests for them.
	sent, requestsStarted, requestsDone atomic.Int64
}

// newEventSender returns the eventSender of a program; nil if its objects come from files.
func (p *program) newEventSender(ctx context.Context) (*eventSender, error) {
	if len(p.opts.Objects) > 0 {
		return nil, nil
	}
	config, err := restConfig(&p.opts)
	if err != nil {
		return nil, err
	}
	// Use a separate client, so that Events do not consume the rate limit of watches.
	client, err := eventsclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create client for Events: %w", err)
	}
	return startEventSender(ctx, &clientevents.EventSinkImpl{Interface: client}, p.opts.Hostname, p.metrics)
}

// startEventSender returns an eventSender for a sink. It runs until close, and not only until ctx
// ends; ctx provides the logger.
func startEventSender(ctx context.Context, sink clientevents.EventSink, node string, m *metrics.Metrics) (*eventSender, error) {
	a := &eventSender{node: node, sink: sink, metrics: m}
	broadcaster := clientevents.NewBroadcaster(a)
	a.recorder = broadcaster.NewRecorder(scheme.Scheme, reportingController)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.stop = func() {
		cancel()
		broadcaster.Shutdown()
	}
	if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		a.stop()
		return nil, fmt.Errorf("start sending Events: %w", err)
	}
	return a, nil
}

// close stops sending after each pending Event was tried once. The last one may explain why the
// program ends, and an aborted request would look like a failure in the API server.
func (a *eventSender) close() {
	if a == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), eventFlushTimeout)
	defer cancel()
	// On timeout the API server hangs, or client-go made more requests for a series than the first
	// two.
	_ = wait.PollUntilContextCancel(ctx, eventFlushTimeout/100, true, func(context.Context) (bool, error) {
		ended := a.requestsDone.Load()
		return ended >= a.sent.Load() && ended == a.requestsStarted.Load(), nil
	})
	a.stop()
}

// send passes an Event to the recorder.
func (a *eventSender) send(about *corev1.ObjectReference, kind, reason, action, message string) {
	if a == nil {
		return
	}
	a.sent.Add(1)
	message = printable.Text(message)
	if len(message) > maxNoteBytes {
		message = strings.ToValidUTF8(message[:maxNoteBytes], "") // remove a partial character
	}
	a.recorder.Eventf(about, nil, kind, reason, action, "%s", message)
}

// Create implements events.EventSink. It sets this node as the reporting instance, where client-go
// uses the host name, and does not count Events of terminating namespaces as failures.
func (a *eventSender) Create(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	a.requestsStarted.Add(1)
	event.ReportingInstance = a.node[:min(len(a.node), maxInstanceBytes)]
	event.Name = uniqueName(event, a.node)
	made, err := a.sink.Create(ctx, event)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		err = nil // nobody is left to read the Event
	}
	a.count(err)
	return made, err
}

// uniqueName makes the name of an Event differ from those of other reasons and other nodes.
// client-go derives it from the Service and the time, and with the clock resolution of Windows
// several Events can have the same time: all but the first would be rejected as existing already. A
// retry of the same Event gets the same name.
func uniqueName(event *eventsv1.Event, node string) string {
	h := fnv.New64a()
	for _, part := range []string{node, event.Reason, event.Action, event.Type, event.Note} {
		_, _ = h.Write([]byte(part + "\x00"))
	}
	suffix := fmt.Sprintf(".%016x", h.Sum64())
	name := strings.TrimSuffix(event.Name, suffix)
	return name[:min(len(name), maxNameBytes-len(suffix))] + suffix
}

// maxNameBytes is the API's limit for object names.
const maxNameBytes = 253

// Update implements events.EventSink.
func (a *eventSender) Update(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	a.requestsStarted.Add(1)
	event.Name = uniqueName(event, a.node)
	made, err := a.sink.Update(ctx, event)
	a.count(err)
	return made, err
}

// Patch implements events.EventSink.
func (a *eventSender) Patch(ctx context.Context, event *eventsv1.Event, data []byte) (*eventsv1.Event, error) {
	a.requestsStarted.Add(1)
	// client-go may use the name that it assigned, while Create is in progress.
	event.Name = uniqueName(event, a.node)
	made, err := a.sink.Patch(ctx, event, data)
	a.count(err)
	return made, err
}

func (a *eventSender) count(err error) {
	a.metrics.EventSent(err)
	a.requestsDone.Add(1)
}

// serviceEvents returns a function that sends Events of Services; nil if there is no API server.
func (a *eventSender) serviceEvents() func(events.Event) {
	if a == nil {
		return nil
	}
	return func(e events.Event) {
		a.send(serviceReference(e.Service, e.UID), e.Type(), string(e.Reason), actionProgram, e.Message)
	}
}

// sendNodeEvent sends an Event on this Node.
func (p *program) sendNodeEvent(kind, reason, action, message string) {
	about := &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: p.opts.Hostname, UID: types.UID(p.opts.Hostname)}
	// Without the object, the name is used as the UID, as in the kubelet's Events.
	if n := p.node(); n != nil && n.UID != "" {
		about.UID = n.UID
	}
	p.events.send(about, kind, reason, action, message)
}

// sendPortFailed sends an Event on a Service whose health check node port cannot be opened.
func (p *program) sendPortFailed(name services.Name, port uint16, err error) {
	var uid types.UID
	if s := p.source.get(objects.Services, name.Namespace, name.Name); s != nil {
		uid = s.GetUID()
	}
	p.events.send(serviceReference(name, uid), corev1.EventTypeWarning, reasonPortFailed, actionListen,
		fmt.Sprintf("node %s cannot open health-check node port %d: %v", p.opts.Hostname, port, err))
}

func serviceReference(name services.Name, uid types.UID) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: name.Namespace, Name: name.Name, UID: uid}
}
