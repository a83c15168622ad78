// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hnsproxy/hnsproxy/internal/printable"
	"k8s.io/klog/v2"
)

// Source is the name under which hnsproxy writes to the event log.
const Source = "hnsproxy"

// Numbers of events in the event log. Monitoring looks for them.
const (
	EventStarted = 1
	EventStopped = 2
	EventFailed  = 3
)

// Windows takes texts of events up to a length, and waits for a service only so long.
const (
	maxEvent  = 30000
	startWait = 5 * time.Second
)

// errNotStarted says that the process was not started by the service control manager.
var errNotStarted = errors.New("the process was not started by the service control manager")

// system is what a Session needs of Windows.
type system interface {
	// startedAsService reports whether the service control manager itself started this process.
	startedAsService() bool
	// dispatch connects to the service control manager, calls execute with the name of the
	// service, and tells the manager that the service stopped, with the exit code that execute
	// returns. It is errNotStarted if the manager did not start this process.
	dispatch(execute func(name string, controls <-chan Control, report func(Status)) (exitCode int)) error
	// recovery returns that of a service.
	recovery(name string) (*Recovery, error)
	// event writes to the event log.
	event(id uint32, text string) error
}

// Session is the program as a service, or as an ordinary process, in which it does nothing.
type Session struct {
	ctx    context.Context
	stop   context.CancelFunc
	system system // nil where there are no services

	logger klog.Logger
	// ready is closed by Configured, started when the manager has begun the service, ended by End.
	ready, started, ended chan struct{}
	// dispatched is closed when system.dispatch has returned; nil before it is called.
	dispatched chan struct{}
	// name and crash may be read after started, code after ended.
	name  string
	why   atomic.Int32 // a Control; Interrogate when it was none
	code  int
	crash bool
}

// Begin is called first. It connects to the service control manager if that started the
// process, or if the arguments ask for it: a program such as kube-log-runner may stand between
// the two.
func Begin(ctx context.Context, args []string) *Session {
	return begin(ctx, args, thisSystem())
}

func begin(ctx context.Context, args []string, sys system) *Session {
	s := &Session{system: sys, ready: make(chan struct{}), started: make(chan struct{}), ended: make(chan struct{})}
	s.ctx, s.stop = context.WithCancel(ctx)
	if sys != nil && (sys.startedAsService() || Asked(args)) {
		s.connect()
	}
	return s
}

// Context ends when the service is to stop.
func (s *Session) Context() context.Context { return s.ctx }

// Configured is called once, when the command line and the configuration are known to be usable
// and log lines get where they belong. asService says whether they ask for a service.
func (s *Session) Configured(asService bool, logger klog.Logger) {
	s.logger = logger
	if asService && s.system == nil {
		logger.Info("Windows services are not available on this system; --windows-service has no effect")
	}
	if asService && s.system != nil && s.dispatched == nil {
		s.connect()
	}
	close(s.ready)
}

// connect connects to the service control manager. Nothing waits for that: behind a program
// that is the service itself, it may take half a minute until it fails.
func (s *Session) connect() {
	s.dispatched = make(chan struct{})
	go func() {
		err := s.system.dispatch(s.execute)
		close(s.dispatched)
		if err == nil {
			return
		}
		select {
		case <-s.ready:
		case <-s.ended:
			return
		}
		if errors.Is(err, errNotStarted) {
			s.logger.Info("Not started by the service control manager; running as an ordinary process, for which --windows-service is not needed")
			return
		}
		s.logger.Error(err, "Cannot connect to the service control manager; running as an ordinary process")
	}()
}

// execute is the life of the service.
func (s *Session) execute(name string, controls <-chan Control, report func(Status)) (exitCode int) {
	s.name = name
	r, err := s.system.recovery(name)
	s.crash = err == nil && needsCrash(r)
	close(s.started)
	told := false
	l := &lifecycle{ready: s.ready, ended: s.ended, stopped: s.ctx.Done(), stop: func(why Control) {
		s.why.Store(int32(why)) //nolint:gosec // one of four
		s.stop()
	}, report: func(status Status) {
		if status.State == Running && !told {
			told = true
			s.event(EventStarted, fmt.Sprintf("hnsproxy is running as service %s.", name))
		}
		report(status)
	}}
	l.run(controls)
	return s.code
}

// needsCrash reports whether a failure must look like a crash for the service to be started
// again. "sc.exe failure" alone makes it so; "sc.exe failureflag" would make exit codes count.
func needsCrash(r *Recovery) bool { return len(r.Restarts) > 0 && !r.OnExitCode }

// End is called last, with the exit code of the program and the error that it ends with. It
// returns when the service control manager has been told.
func (s *Session) End(code int, err error) {
	if s.dispatched == nil {
		s.stop()
		return
	}
	select {
	case <-s.started:
	case <-s.dispatched:
		close(s.ended)
		return
	case <-time.After(startWait):
		close(s.ended)
		return
	}
	asked := s.ctx.Err() != nil
	switch {
	case code != 0:
		s.event(EventFailed, fmt.Sprintf("hnsproxy failed with exit code %d. HNS rules were left in place.\n\n%v", code, err))
		s.log(func() { s.logger.Error(err, "hnsproxy failed", "exitCode", code) }) // standard error leads nowhere
	case asked:
		s.event(EventStopped, fmt.Sprintf("hnsproxy stopped: %s. HNS rules were left in place.", Control(s.why.Load())))
	default:
		s.event(EventStopped, "hnsproxy stopped: it completed its work. HNS rules were left in place.")
	}
	if code != 0 && s.crash && !asked {
		return // the manager sees the process end without a word
	}
	if s.code = code; asked {
		s.code = 0 // any other would have the manager start again what it was asked to stop
	}
	close(s.ended)
	<-s.dispatched
}

func (s *Session) event(id uint32, text string) {
	text = strings.ReplaceAll(printable.Lines(text), "\n", "\r\n")
	if len(text) > maxEvent {
		text = text[:maxEvent] + " ..."
	}
	if err := s.system.event(id, text); err != nil {
		s.log(func() { s.logger.Error(err, "Cannot write to the event log", "event", id) })
	}
}

// log logs if there is a log yet.
func (s *Session) log(line func()) {
	select {
	case <-s.ready:
		line()
	default:
	}
}
