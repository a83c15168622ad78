// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/service"
	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/service/servicetest"
)

const self = `C:\k\hnsproxy.exe`

func kubeProxy(name string) service.Definition {
	return service.Definition{Name: name, Command: []string{`C:\k\kube-proxy.exe`, "--windows-service", "--v=2"}, Start: service.StartAuto}
}

func controller(m *servicetest.Manager, name string) *service.Controller {
	return &service.Controller{Manager: m, Self: self, Name: name, Wait: 10 * time.Second}
}

func anything(_, _ []string) error { return nil }

func wantWrites(t *testing.T, m *servicetest.Manager, want ...string) {
	t.Helper()
	if !slices.Equal(m.Writes, want) {
		t.Errorf("the manager was asked for %q, want %q", m.Writes, want)
	}
	m.Writes = nil
}

// TestInstall: what is there already is not written again, and what is not ours is left alone.
func TestInstall(t *testing.T) {
	m := servicetest.New(kubeProxy("kube-proxy"), service.Definition{Name: "dnscache", Command: []string{`C:\windows\svchost.exe`}})
	for _, step := range []struct {
		what     string
		name     string
		install  service.Install
		want     string // the change, or a part of the error
		writes   []string
		contains string // a part of the text
	}{
		{"a dry run", "hnsproxy", service.Install{From: "kube-proxy", DryRun: true}, service.Created, nil, "would be created, from service kube-proxy"},
		{"the first time", "hnsproxy", service.Install{From: "kube-proxy"}, service.Created, []string{"create hnsproxy"}, "sc.exe stop kube-proxy"},
		{"again", "hnsproxy", service.Install{From: "kube-proxy"}, service.Unchanged, nil, "Service hnsproxy unchanged"},
		{"another argument", "hnsproxy", service.Install{From: "kube-proxy", Args: []string{"--v=4"}}, service.Changed, []string{"change hnsproxy"},
			`before:      C:\k\hnsproxy.exe --windows-service --v=2` + "\n"},
		{"another start", "hnsproxy", service.Install{From: "kube-proxy", Args: []string{"--v=4"}, Start: service.StartManual}, service.Changed, []string{"change hnsproxy"}, "start:       manual"},
		{"without kube-proxy", "other", service.Install{Args: []string{"--v=4"}}, service.Created, []string{"create other"}, "hnsproxy service start --name=other"},
		{"a log that gets lost", "other", service.Install{Args: []string{"--v=4"}}, service.Unchanged, nil, "logs are lost"},
		{"to replace it", "kube-proxy", service.Install{From: "kube-proxy"}, service.Changed, []string{"change kube-proxy"}, `before:      C:\k\kube-proxy.exe --windows-service --v=2`},
		{"in its place, again", "kube-proxy", service.Install{From: "kube-proxy"}, service.Unchanged, nil, ""},
		{"somebody else's", "dnscache", service.Install{From: "kube-proxy"}, "runs C:\\windows\\svchost.exe, not hnsproxy", nil, ""},
		{"of one that is not there", "hnsproxy", service.Install{From: "kubeproxy"}, "no such service", nil, ""},
		{"of one that is no kube-proxy", "hnsproxy", service.Install{From: "dnscache"}, "does not contain kube-proxy.exe", nil, ""},
		{"arguments that are refused", "new", service.Install{Check: func(args, _ []string) error { return errors.New("refused " + args[0]) }}, "refused --windows-service", nil, ""},
	} {
		if step.install.Check == nil {
			step.install.Check = anything
		}
		done, err := controller(m, step.name).Install(step.install)
		switch {
		case err != nil && !strings.Contains(err.Error(), step.want):
			t.Errorf("%s: %v, want %q", step.what, err, step.want)
		case err == nil && (done.Change != step.want || !strings.Contains(done.Text(), step.contains)):
			t.Errorf("%s: %s, want %s and %q in\n%s", step.what, done.Change, step.want, step.contains, done.Text())
		}
		wantWrites(t, m, step.writes...)
	}
	if !m.Sources[service.Source] {
		t.Error("events would not be readable")
	}
}

func TestStartAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		m := servicetest.New(kubeProxy("kube-proxy"))
		c := controller(m, "hnsproxy")
		wantError := func(err error, want string) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the error is %v, want one with %q", err, want)
			}
		}
		wantNone := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		wantError(c.Start(ctx), "no such service")
		wantError(c.Stop(ctx), "no such service")
		wantError(controller(m, "kube-proxy").Stop(ctx), ", not hnsproxy")
		if _, err := c.Install(service.Install{From: "kube-proxy", Check: anything}); err != nil {
			t.Fatal(err)
		}
		m.Writes = nil
		theirs, ours := m.Services["kube-proxy"], m.Services["hnsproxy"]

		theirs.State = service.Running
		wantError(c.Start(ctx), "service kube-proxy is running; the two would conflict with each other")
		theirs.State = service.Stopped
		wantNone(c.Stop(ctx)) // it does not run
		wantWrites(t, m)
		wantNone(c.Start(ctx))
		wantNone(c.Start(ctx))
		wantWrites(t, m, "start hnsproxy")
		ours.OnStop.State = service.StopPending
		wantError(c.Stop(ctx), "is still stop-pending after 10s")
		wantError(c.Stop(ctx), "is still stop-pending after 10s")
		wantWrites(t, m, "stop hnsproxy")
		ours.Condition = service.Condition{State: service.Running}
		ours.OnStop.State = service.Stopped
		wantNone(c.Stop(ctx))
		ours.OnStart = service.Condition{State: service.Stopped, ExitCode: 1066, ServiceExitCode: 2}
		wantError(c.Start(ctx), "stopped immediately, exit code 2 of hnsproxy")
		ours.OnStart = service.Condition{State: service.StartPending}
		wantError(c.Start(ctx), "is still start-pending after 10s")
		m.Denied = errors.New("access denied")
		ours.State = service.Running
		wantError(c.Stop(ctx), "access denied")
	})
}

func TestUninstall(t *testing.T) {
	m := servicetest.New(kubeProxy("kube-proxy"))
	c := controller(m, "hnsproxy")
	if _, err := c.Install(service.Install{From: "kube-proxy", Check: anything}); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Writes = nil
	for _, want := range []bool{true, false} {
		if found, err := c.Uninstall(t.Context()); err != nil || found != want {
			t.Errorf("found it: %v, want %v; error %v", found, want, err)
		}
	}
	wantWrites(t, m, "stop hnsproxy", "delete hnsproxy")
	if _, err := controller(m, "kube-proxy").Uninstall(t.Context()); err == nil || m.Services["kube-proxy"] == nil || len(m.Sources) > 0 {
		t.Errorf("kube-proxy's own: error %v, services %v, sources %v", err, m.Services, m.Sources)
	}
}

func TestStatus(t *testing.T) {
	m := servicetest.New()
	c := controller(m, "hnsproxy")
	want := func(part string) {
		t.Helper()
		if r, err := c.Status(); err != nil || !strings.Contains(r.Text(), part) {
			t.Errorf("error %v, want %q in %s", err, part, r.Text())
		}
	}
	want("not installed")
	if _, err := c.Install(service.Install{Args: []string{"--v=2"}, Check: anything}); err != nil {
		t.Fatal(err)
	}
	s := m.Services["hnsproxy"]
	for code, part := range map[uint32]string{0: "exit code 0", 1066: "exit code 3 of hnsproxy", 1067: "terminated unexpectedly", 1077: "not started since",
		1053: "did not respond", 1068: "depends on", 5: "Windows error 5"} {
		s.Condition = service.Condition{State: service.Stopped, ExitCode: code, ServiceExitCode: 3}
		want("Service hnsproxy is stopped, " + part)
	}
	s.Condition = service.Condition{State: service.Running, ProcessID: 7}
	want("Service hnsproxy is running, process 7\n")
	want("recovery:    restart after 5 s, then 5 s, then 30 s, on a crash or an exit code other than 0")
	s.Recovery = nil
	want("recovery:    not reported by this system")
}
