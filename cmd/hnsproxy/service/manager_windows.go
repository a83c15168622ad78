// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"
)

// servicesKey holds what the service control manager knows, and what programs keep there.
const servicesKey = `SYSTEM\CurrentControlSet\Services\`

// scManager is the Manager of this machine.
type scManager struct{}

// Connect returns the service control manager of this machine.
func Connect() (Manager, error) { return scManager{}, nil }

func (scManager) Definition(name string) (Definition, error) {
	s, err := open(name, windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return Definition{}, err
	}
	defer s.Close() //nolint:errcheck // it was only read
	c, err := configuration(s)
	if err != nil {
		return Definition{}, explain(name, err)
	}
	d := Definition{Name: name, DisplayName: c.DisplayName, Description: c.Description, Command: Split(c.BinaryPathName),
		Start: startOf(c), Dependencies: c.Dependencies}
	if !strings.EqualFold(c.ServiceStartName, "LocalSystem") {
		d.Account = c.ServiceStartName
	}
	d.Recovery, _ = recoveryOf(s) // not every Windows can say it
	d.Environment = stringsOf(servicesKey+name, "Environment")
	if len(d.Command) > 0 && base(wholePath(d.Command)[0]) == nssmExe {
		d.NSSM = nssmOf(servicesKey + name + `\Parameters`)
	}
	return d, nil
}

func startOf(c mgr.Config) string {
	switch {
	case c.StartType == mgr.StartAutomatic && c.DelayedAutoStart:
		return StartDelayed
	case c.StartType == mgr.StartManual:
		return StartManual
	case c.StartType == mgr.StartDisabled:
		return StartDisabled
	}
	return StartAuto
}

// recoveryOf reads that of a service.
func recoveryOf(s *mgr.Service) (*Recovery, error) {
	actions, err := s.RecoveryActions()
	if err != nil {
		return nil, err
	}
	var r Recovery
	for _, a := range actions {
		if a.Type == mgr.ServiceRestart {
			r.Restarts = append(r.Restarts, int(a.Delay.Seconds()))
		}
	}
	reset, err := s.ResetPeriod()
	if err != nil {
		return nil, err
	}
	r.ResetAfter = int(reset)
	if r.OnExitCode, err = s.RecoveryActionsOnNonCrashFailures(); err != nil {
		return nil, err
	}
	return &r, nil
}

// stringsOf reads a value of the registry that holds lines; none if there is no such value.
func stringsOf(path, value string) []string {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE)
	if err != nil {
		return nil
	}
	defer key.Close() //nolint:errcheck // it was only read
	if lines, _, err := key.GetStringsValue(value); err == nil {
		return lines
	}
	if line, _, err := key.GetStringValue(value); err == nil && line != "" {
		return []string{line}
	}
	return nil
}

func nssmOf(path string) *NSSM {
	value := func(name string) string { return strings.Join(stringsOf(path, name), "") }
	return &NSSM{Application: value("Application"), Parameters: value("AppParameters"), Directory: value("AppDirectory"),
		Environment: append(stringsOf(path, "AppEnvironment"), stringsOf(path, "AppEnvironmentExtra")...),
		Stdout:      value("AppStdout"), Stderr: value("AppStderr")}
}

func (scManager) Condition(name string) (Condition, error) {
	s, err := open(name, windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return Condition{}, err
	}
	defer s.Close() //nolint:errcheck // it was only read
	q, err := s.Query()
	if err != nil {
		return Condition{}, explain(name, err)
	}
	c := Condition{State: stateOf(q.State), ProcessID: q.ProcessId}
	if c.State == Stopped {
		c.ExitCode, c.ServiceExitCode = q.Win32ExitCode, q.ServiceSpecificExitCode
	}
	return c, nil
}

func stateOf(s svc.State) State {
	switch s {
	case svc.Stopped:
		return Stopped
	case svc.StartPending:
		return StartPending
	case svc.Running:
		return Running
	case svc.StopPending:
		return StopPending
	}
	return OtherState
}

func configOf(d Definition) mgr.Config {
	c := mgr.Config{ServiceType: windows.SERVICE_WIN32_OWN_PROCESS, ErrorControl: mgr.ErrorNormal, DisplayName: d.DisplayName,
		Description: d.Description, Dependencies: d.Dependencies, ServiceStartName: d.Account, StartType: mgr.StartAutomatic,
		BinaryPathName: Join(d.Command), DelayedAutoStart: d.Start == StartDelayed}
	switch d.Start {
	case StartManual:
		c.StartType = mgr.StartManual
	case StartDisabled:
		c.StartType = mgr.StartDisabled
	}
	return c
}

func (m scManager) Create(d Definition) error {
	manager, err := mgr.Connect()
	if err != nil {
		return explain(d.Name, err)
	}
	defer manager.Disconnect() //nolint:errcheck // what it made stays
	s, err := manager.CreateService(d.Name, d.Command[0], configOf(d), d.Command[1:]...)
	if err != nil {
		return explain(d.Name, err)
	}
	defer s.Close() //nolint:errcheck // what was changed stays
	if err := m.rest(s, d); err != nil {
		return errors.Join(err, s.Delete())
	}
	return nil
}

func (m scManager) Change(d Definition) error {
	s, err := open(d.Name, windows.SERVICE_ALL_ACCESS)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // what was changed stays
	c := configOf(d)
	if c.ServiceStartName == "" {
		c.ServiceStartName = "LocalSystem"
	}
	if err := reconfigure(s, c); err != nil {
		return explain(d.Name, err)
	}
	return m.rest(s, d)
}

// rest sets what a service is not created with.
func (scManager) rest(s *mgr.Service, d Definition) error {
	if d.Recovery != nil {
		var actions []mgr.RecoveryAction
		for _, seconds := range d.Recovery.Restarts {
			actions = append(actions, mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: time.Duration(seconds) * time.Second})
		}
		if err := known(s.SetRecoveryActions(actions, uint32(d.Recovery.ResetAfter))); err != nil { //nolint:gosec // minutes
			return fmt.Errorf("set recovery actions: %w", explain(d.Name, err))
		}
		if err := known(s.SetRecoveryActionsOnNonCrashFailures(d.Recovery.OnExitCode)); err != nil {
			return fmt.Errorf("set recovery actions: %w", explain(d.Name, err))
		}
	}
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, servicesKey+d.Name, registry.SET_VALUE)
	if err != nil {
		return fmt.Errorf("set the environment: %w", explain(d.Name, err))
	}
	defer key.Close() //nolint:errcheck // what was set stays
	if len(d.Environment) > 0 {
		err = key.SetStringsValue("Environment", d.Environment)
	} else if err = key.DeleteValue("Environment"); errors.Is(err, registry.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("set the environment: %w", explain(d.Name, err))
	}
	return nil
}

func (scManager) Delete(name string) error {
	s, err := open(name, windows.DELETE)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // it goes with that
	return explain(name, s.Delete())
}

func (scManager) Start(name string) error {
	s, err := open(name, windows.SERVICE_START)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // nothing was written through it
	if err := s.Start(); !errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
		return explain(name, err)
	}
	return nil
}

func (scManager) Stop(name string) error {
	s, err := open(name, windows.SERVICE_STOP)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // nothing was written through it
	if _, err := s.Control(svc.Stop); !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
		return explain(name, err)
	}
	return nil
}

func (scManager) RegisterSource(source string) error {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, servicesKey+`EventLog\Application\`+source, registry.QUERY_VALUE)
	if err == nil {
		return key.Close()
	}
	if err := eventlog.InstallAsEventCreate(source, eventlog.Error|eventlog.Warning|eventlog.Info); err != nil {
		return fmt.Errorf("register the source %s of the event log: %w", source, err)
	}
	return nil
}

func (scManager) RemoveSource(source string) error {
	if err := eventlog.Remove(source); err != nil && !errors.Is(err, registry.ErrNotExist) {
		return fmt.Errorf("remove the source %s of the event log: %w", source, err)
	}
	return nil
}
