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

// reportingController is the name under which Events are sent.
const reportingController = "hnsproxy"

// Reasons of the Events on the Node and on health checks. But for the first action they are
// those of kube-proxy, so that who watches for them goes on to see them.
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
	// instanceLimit is the longest reporting instance that the API takes, in bytes.
	instanceLimit = 128
	// noteLimit is the longest note.
	noteLimit = 1024
	// farewell is how long Events may take at the end of the program.
	farewell = 2 * time.Second
)

// announcer sends Events to the API server, by client-go's recorder: what is sent twice
// within minutes becomes a series there. It never blocks and drops what the API server
// refuses. A nil announcer, of a program without API server, sends nothing.
type announcer struct {
	recorder clientevents.EventRecorder
	stop     func()
	node     string
	sink     clientevents.EventSink
	metrics  *metrics.Metrics
	// asked counts Events, begun and ended the requests that came of them.
	asked, begun, ended atomic.Int64
}

// newAnnouncer makes the announcer of a program; nil if its objects come from files.
func (p *program) newAnnouncer(ctx context.Context) (*announcer, error) {
	if len(p.opts.Objects) > 0 {
		return nil, nil
	}
	config, err := restConfig(&p.opts)
	if err != nil {
		return nil, err
	}
	// A client of its own: Events do not use up the rate at which watches are begun.
	client, err := eventsclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create client for Events: %w", err)
	}
	return startAnnouncer(ctx, &clientevents.EventSinkImpl{Interface: client}, p.opts.Hostname, p.metrics)
}

// startAnnouncer sends to a sink until close. It outlives ctx, of which it takes the logger.
func startAnnouncer(ctx context.Context, sink clientevents.EventSink, node string, m *metrics.Metrics) (*announcer, error) {
	a := &announcer{node: node, sink: sink, metrics: m}
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

// close ends the sending, once each Event so far was tried: the last one may say why the
// program ends, and a request that is cut off looks like a failure of the API server there.
func (a *announcer) close() {
	if a == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	// An error says that the time is over: the API server hangs, or client-go made more of
	// one series than the two requests that it begins with.
	_ = wait.PollUntilContextCancel(ctx, farewell/100, true, func(context.Context) (bool, error) {
		ended := a.ended.Load()
		return ended >= a.asked.Load() && ended == a.begun.Load(), nil
	})
	a.stop()
}

// send hands an Event to the recorder.
func (a *announcer) send(about *corev1.ObjectReference, kind, reason, action, message string) {
	if a == nil {
		return
	}
	a.asked.Add(1)
	message = printable.Text(message)
	if len(message) > noteLimit {
		message = strings.ToValidUTF8(message[:noteLimit], "") // what is left of a character
	}
	a.recorder.Eventf(about, nil, kind, reason, action, "%s", message)
}

// Create is part of events.EventSink. It names this node as the instance, where client-go
// takes the name of the host, and tells apart what is no failure.
func (a *announcer) Create(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	a.begun.Add(1)
	event.ReportingInstance = a.node[:min(len(a.node), instanceLimit)]
	event.Name = uniqueName(event, a.node)
	made, err := a.sink.Create(ctx, event)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		err = nil // nobody is left who could be told
	}
	a.count(err)
	return made, err
}

// uniqueName makes the name of an Event differ from those of other reasons and other nodes.
// client-go makes it of the Service and the time, and the clock of Windows gives several
// Events one time: all but the first would be refused as existing already. Another try of
// the same Event gets the same name.
func uniqueName(event *eventsv1.Event, node string) string {
	h := fnv.New64a()
	for _, part := range []string{node, event.Reason, event.Action, event.Type, event.Note} {
		_, _ = h.Write([]byte(part + "\x00"))
	}
	suffix := fmt.Sprintf(".%016x", h.Sum64())
	name := strings.TrimSuffix(event.Name, suffix)
	return name[:min(len(name), nameLimit-len(suffix))] + suffix
}

// nameLimit is the longest name of an object, in bytes.
const nameLimit = 253

// Update is part of events.EventSink.
func (a *announcer) Update(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	a.begun.Add(1)
	event.Name = uniqueName(event, a.node)
	made, err := a.sink.Update(ctx, event)
	a.count(err)
	return made, err
}

// Patch is part of events.EventSink.
func (a *announcer) Patch(ctx context.Context, event *eventsv1.Event, data []byte) (*eventsv1.Event, error) {
	a.begun.Add(1)
	// client-go may know it by the name that it gave, while Create is in progress.
	event.Name = uniqueName(event, a.node)
	made, err := a.sink.Patch(ctx, event, data)
	a.count(err)
	return made, err
}

func (a *announcer) count(err error) {
	a.metrics.EventSent(err)
	a.ended.Add(1)
}

// tell returns what sends the Events of Services; nil when there is nobody to send to.
func (a *announcer) tell() func(events.Event) {
	if a == nil {
		return nil
	}
	return func(e events.Event) {
		a.send(serviceReference(e.Service, e.UID), e.Type(), string(e.Reason), actionProgram, e.Message)
	}
}

// tellNode sends an Event on the Node of this program.
func (p *program) tellNode(kind, reason, action, message string) {
	about := &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: p.opts.Hostname, UID: types.UID(p.opts.Hostname)}
	// Without its object the name stands for the UID, as in the kubelet's Events.
	if n := p.node(); n != nil && n.UID != "" {
		about.UID = n.UID
	}
	p.announcer.send(about, kind, reason, action, message)
}

// tellPortFailed sends an Event on a Service whose health-check node port cannot be opened.
func (p *program) tellPortFailed(name services.Name, port uint16, err error) {
	var uid types.UID
	if s := p.source.get(objects.Services, name.Namespace, name.Name); s != nil {
		uid = s.GetUID()
	}
	p.announcer.send(serviceReference(name, uid), corev1.EventTypeWarning, reasonPortFailed, actionListen,
		fmt.Sprintf("node %s cannot open health-check node port %d: %v", p.opts.Hostname, port, err))
}

func serviceReference(name services.Name, uid types.UID) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: name.Namespace, Name: name.Name, UID: uid}
}
