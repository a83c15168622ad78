// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"
)

// scm is the service control manager that may have started this process.
type scm struct{}

func thisSystem() system { return scm{} }

func (scm) startedAsService() bool {
	is, err := svc.IsWindowsService()
	return err == nil && is
}

func (scm) dispatch(execute func(string, <-chan Control, func(Status)) int) error {
	err := svc.Run(Source, handler(execute)) // a process with one service is not asked for its name
	if errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		return errNotStarted
	}
	return err
}

func (scm) recovery(name string) (*Recovery, error) {
	s, err := open(name, windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // it was only read
	return recoveryOf(s)
}

func (scm) event(id uint32, text string) error {
	log, err := eventlog.Open(Source)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the event is written, or its error is returned
	if id == EventFailed {
		return log.Error(id, text)
	}
	return log.Info(id, text)
}

// handler is what package svc calls.
type handler func(name string, controls <-chan Control, report func(Status)) int

// Execute is part of svc.Handler.
func (h handler) Execute(args []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (specific bool, code uint32) {
	name := Source
	if len(args) > 0 {
		name = args[0]
	}
	controls, done := make(chan Control), make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case r := <-requests:
				select {
				case controls <- controlOf(r.Cmd):
				case <-done:
					return
				}
			case <-done:
				return
			}
		}
	}()
	exit := h(name, controls, func(s Status) { status <- svcStatus(s) })
	return true, uint32(exit) //nolint:gosec // exit codes are small
}

func controlOf(c svc.Cmd) Control {
	switch c {
	case svc.Stop:
		return Stop
	case svc.Shutdown:
		return Shutdown
	case svc.PreShutdown:
		return PreShutdown
	}
	return Interrogate
}

func svcStatus(s Status) svc.Status {
	out := svc.Status{CheckPoint: s.CheckPoint, WaitHint: uint32(s.WaitHint.Milliseconds())} //nolint:gosec // seconds
	switch s.State {
	case Running:
		out.State, out.Accepts = svc.Running, svc.AcceptStop|svc.AcceptShutdown|svc.AcceptPreShutdown
	case StopPending:
		out.State = svc.StopPending
	default:
		// A start may last while the program finds out that it cannot be configured; stopping
		// it there is nothing that would take long.
		out.State = svc.StartPending
	}
	return out
}

// IgnoreLogoff makes the process go on when somebody logs off whom it does not belong to.
// Windows tells all services, and what they started, and Go makes of it the signal that also
// says that the system shuts down.
func IgnoreLogoff() error {
	var session uint32
	if err := windows.ProcessIdToSessionId(windows.GetCurrentProcessId(), &session); err != nil {
		return fmt.Errorf("find the session of this process: %w", err)
	}
	callback := windows.NewCallback(func(event uint32) uintptr {
		if ignoredEvent(event, session) {
			return 1 // nobody else is asked
		}
		return 0
	})
	// The last handler that was added is asked first, before that of Go.
	ok, _, err := windows.NewLazySystemDLL("kernel32.dll").NewProc("SetConsoleCtrlHandler").Call(callback, 1)
	if ok == 0 {
		return fmt.Errorf("handle console events: %w", err)
	}
	return nil
}

// open opens a service with no more rights than are needed.
func open(name string, access uint32) (*mgr.Service, error) {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return nil, explain(name, err)
	}
	defer windows.CloseServiceHandle(manager) //nolint:errcheck // the service has a handle of its own
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, fmt.Errorf("service %q: %w", name, err)
	}
	h, err := windows.OpenService(manager, text, access)
	if err != nil {
		return nil, explain(name, err)
	}
	return &mgr.Service{Name: name, Handle: h}, nil
}

// explain makes an error of the service control manager one for people.
func explain(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		return fmt.Errorf("service %s: %w", name, ErrNotInstalled)
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return fmt.Errorf("service %s: %w; run this command as an administrator, in an elevated window", name, err)
	case errors.Is(err, windows.ERROR_SERVICE_MARKED_FOR_DELETE):
		return fmt.Errorf("service %s: %w; it is removed once every program that has it open, such as services.msc, is closed", name, err)
	case errors.Is(err, windows.ERROR_SERVICE_DISABLED):
		return fmt.Errorf("service %s: %w; \"sc.exe config %s start= auto\" enables it", name, err, name)
	}
	return fmt.Errorf("service %s: %w", name, err)
}
