// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
)

// fakeSystem is a service control manager with its event log.
type fakeSystem struct {
	direct bool
	r      *Recovery
	// unconnected is what dispatch fails with, after a while.
	unconnected error
	after       time.Duration

	controls chan Control
	told     []string
	events   []string
}

func (f *fakeSystem) startedAsService() bool { return f.direct }

func (f *fakeSystem) dispatch(execute func(string, <-chan Control, func(Status)) int) error {
	if f.unconnected != nil {
		time.Sleep(f.after) //nolint:forbidigo // the time of synctest, in which Windows answers late
		return f.unconnected
	}
	code := execute("kube-proxy", f.controls, func(s Status) {
		f.told = append(f.told, strings.TrimSpace(fmt.Sprintf("%s %d", s.State, s.CheckPoint)))
	})
	f.told = append(f.told, fmt.Sprintf("stopped, exit code %d", code))
	return nil
}

func (f *fakeSystem) recovery(name string) (*Recovery, error) {
	if name != "kube-proxy" || f.r == nil {
		return nil, errors.New("not told")
	}
	return f.r, nil
}

func (f *fakeSystem) event(id uint32, text string) error {
	f.events = append(f.events, fmt.Sprintf("%d %s", id, text))
	return nil
}

func newFake() *fakeSystem { return &fakeSystem{direct: true, controls: make(chan Control)} }

func logger(t *testing.T) (klog.Logger, ktesting.Buffer) {
	t.Helper()
	l := ktesting.NewLogger(t, ktesting.NewConfig(ktesting.BufferLogs(true)))
	return l, l.GetSink().(ktesting.Underlier).GetBuffer()
}

func (f *fakeSystem) want(t *testing.T, told []string, events ...string) {
	t.Helper()
	if !slices.Equal(f.told, told) {
		t.Errorf("the manager was told %q, want %q", f.told, told)
	}
	for i, e := range events {
		if i >= len(f.events) || !strings.Contains(f.events[i], e) {
			t.Errorf("event %d of %q lacks %q", i, f.events, e)
		}
	}
	if len(f.events) != len(events) {
		t.Errorf("events are %q, want %d", f.events, len(events))
	}
}

// TestSessionStops: the service runs as soon as it is configured, says that it is alive while
// it ends, and ends when the program has.
func TestSessionStops(t *testing.T) {
	for _, c := range []Control{Stop, Shutdown, PreShutdown} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			l, _ := logger(t)
			s := begin(t.Context(), nil, f)
			synctest.Wait()
			f.want(t, []string{"start-pending 1"})
			s.Configured(false, l)
			synctest.Wait()
			f.want(t, []string{"start-pending 1", "running 0"}, "1 hnsproxy is running as service kube-proxy.")
			f.controls <- Interrogate
			f.controls <- c
			f.controls <- Stop // somebody asks again
			<-s.Context().Done()
			time.Sleep(2*checkEvery + checkEvery/2) //nolint:forbidigo // the time of synctest, in which HNS answers late
			s.End(0, nil)
			f.want(t, []string{"start-pending 1", "running 0", "running 0", "stop-pending 1", "stop-pending 1", "stop-pending 2", "stop-pending 3", "stopped, exit code 0"},
				"1 ", "2 hnsproxy stopped: "+c.String())
		})
	}
}

// TestSessionSignalled: an event of the console ends a service too.
func TestSessionSignalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		l, _ := logger(t)
		ctx, cancel := context.WithCancel(t.Context())
		s := begin(ctx, nil, f)
		s.Configured(false, l)
		synctest.Wait()
		cancel()
		synctest.Wait()
		s.End(0, nil)
		f.want(t, []string{"start-pending 1", "running 0", "stop-pending 1", "stopped, exit code 0"}, "1 ", "2 hnsproxy stopped: requested by a console event")
	})
}

// TestSessionFails: the exit code and its reason get to the manager and the event log, whether
// or not it came to be configured.
func TestSessionFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		begin(t.Context(), nil, f).End(2, errors.New("no \x1b flag"))
		f.want(t, []string{"start-pending 1", "stopped, exit code 2"}, "3 hnsproxy failed with exit code 2. HNS rules were left in place.\r\n\r\n  no \\x1b flag")
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		l, log := logger(t)
		s := begin(t.Context(), nil, f)
		s.Configured(true, l)
		synctest.Wait()
		s.End(3, errors.New("another configuration"))
		f.want(t, []string{"start-pending 1", "running 0", "stopped, exit code 3"}, "1 ", "3 ")
		if !strings.Contains(log.String(), "another configuration") {
			t.Errorf("the log has no reason:\n%s", log.String())
		}
	})
}

// TestSessionCrashes: where only a crash makes the manager start the service again, as after
// "sc.exe failure", a failure is one.
func TestSessionCrashes(t *testing.T) {
	for _, tt := range []struct {
		r    *Recovery
		want string
	}{
		{nil, "stopped, exit code 3"},
		{&Recovery{}, "stopped, exit code 3"},
		{recovery(), "stopped, exit code 3"},
		{&Recovery{Restarts: []int{10}}, "running 0"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.r = tt.r
			l, _ := logger(t)
			s := begin(t.Context(), nil, f)
			s.Configured(true, l)
			synctest.Wait()
			s.End(3, errors.New("another configuration"))
			if last := f.told[len(f.told)-1]; last != tt.want {
				t.Errorf("with %+v the manager is last told %q, want %q", tt.r, last, tt.want)
			}
			if tt.want == "running 0" {
				close(s.ended) // the process would be gone
			}
			synctest.Wait()
		})
	}
}

// TestSessionFailsWhileStopped: what was to stop is not started again for a failure at its end.
func TestSessionFailsWhileStopped(t *testing.T) {
	for _, r := range []*Recovery{nil, {Restarts: []int{10}}, recovery()} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.r = r
			l, _ := logger(t)
			s := begin(t.Context(), nil, f)
			s.Configured(true, l)
			synctest.Wait()
			f.controls <- Stop
			<-s.Context().Done()
			s.End(1, errors.New("too late"))
			f.want(t, []string{"start-pending 1", "running 0", "stop-pending 1", "stopped, exit code 0"}, "1 ", "3 hnsproxy failed")
		})
	}
}

// TestSessionIsNone: without a manager the program runs all the same, and does not wait for
// Windows to find out that there is none.
func TestSessionIsNone(t *testing.T) {
	for _, tt := range []struct {
		name       string
		sys        *fakeSystem
		args       []string
		configured bool
		log        string
	}{
		{"a console", newFakeConsole(nil), nil, false, ""},
		{"the flag in a console", newFakeConsole(errNotStarted), []string{"--windows-service"}, true, "as an ordinary process"},
		{"the file in a console", newFakeConsole(errNotStarted), nil, true, "as an ordinary process"},
		{"another error", newFakeConsole(errors.New("broken")), []string{"--windows-service"}, true, "broken"},
	} {
		synctest.Test(t, func(t *testing.T) {
			l, log := logger(t)
			s := begin(t.Context(), tt.args, tt.sys)
			began := time.Now()
			s.Configured(tt.configured, l)
			if waited := time.Since(began); waited > 0 {
				t.Errorf("%s: waited for %v", tt.name, waited)
			}
			time.Sleep(time.Minute) //nolint:forbidigo // the time of synctest, while the program works
			s.End(0, nil)
			tt.sys.want(t, nil)
			if tt.log == "" && log.String() != "" || !strings.Contains(log.String(), tt.log) {
				t.Errorf("%s: the log is %q, want %q in it", tt.name, log.String(), tt.log)
			}
		})
	}
}

func newFakeConsole(err error) *fakeSystem {
	return &fakeSystem{unconnected: err, after: 30 * time.Second}
}

// TestSessionElsewhere: other systems have no services, and say so to whom asks for one.
func TestSessionElsewhere(t *testing.T) {
	l, log := logger(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := begin(ctx, []string{"--windows-service"}, nil)
	s.Configured(true, l)
	cancel()
	<-s.Context().Done()
	s.End(1, errors.New("x"))
	if !strings.Contains(log.String(), "--windows-service has no effect") {
		t.Errorf("the log is %q", log.String())
	}
}

// TestLongEvent: Windows takes no text without end.
func TestLongEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		begin(t.Context(), nil, f).End(2, errors.New(strings.Repeat("x", 2*maxEvent)))
		if n := len(f.events[0]); n > maxEvent+10 {
			t.Errorf("the event has %d bytes", n)
		}
	})
}
