// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"time"
)

// Errors of a Manager, as errors.Is finds them.
var (
	// ErrNotInstalled says that there is no service of this name.
	ErrNotInstalled = errors.New("no such service")
	// ErrNotWindows says that this system has no services.
	ErrNotWindows = errors.New("this system has no Windows services; run hnsproxy.exe service on a Windows node")
)

// When a service is started.
const (
	StartAuto    = "auto"
	StartDelayed = "delayed-auto"
	StartManual  = "manual"
	// StartDisabled keeps anybody from starting it.
	StartDisabled = "disabled"
)

// Definition is what the service control manager knows about a service.
type Definition struct {
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
	Description string `json:"description,omitempty"`
	// Command is the program and its arguments.
	Command []string `json:"command"`
	// Start is one of the constants.
	Start string `json:"start"`
	// Account is whom the service runs as, empty for LocalSystem.
	Account      string   `json:"account,omitempty"`
	Dependencies []string `json:"dependencies,omitempty"`
	// Environment is added to that of the machine, NAME=VALUE.
	Environment []string `json:"environment,omitempty"`
	// Recovery is nil when the system does not tell.
	Recovery *Recovery `json:"recovery,omitempty"`

	// NSSM is set when the program is nssm, which starts another.
	NSSM *NSSM `json:"-"`
}

// Recovery is what the service control manager does when the service fails.
type Recovery struct {
	// Restarts are the delays before the first restarts, in seconds; the last one holds for
	// all that follow. None is no restart.
	Restarts []int `json:"restartSeconds,omitempty"`
	// ResetAfter is after how many seconds without failure the counting begins again.
	ResetAfter int `json:"resetSeconds,omitempty"`
	// OnExitCode also counts as failure that the service ends in good order with an exit
	// code other than 0. Without it only a crash is one.
	OnExitCode bool `json:"onExitCode,omitempty"`
}

// NSSM is what nssm, the non-sucking service manager, knows about the program of a service.
type NSSM struct {
	Application, Parameters, Directory string
	Environment                        []string
	Stdout, Stderr                     string
}

// recovery is that of hnsproxy. A failure is mostly a configuration that somebody is about to
// correct, or an API server that comes back.
func recovery() *Recovery {
	return &Recovery{Restarts: []int{5, 5, 30}, ResetAfter: int((10 * time.Minute).Seconds()), OnExitCode: true}
}

// State is what a service does now.
type State string

// States of a service.
const (
	Stopped      State = "stopped"
	StartPending State = "start-pending"
	Running      State = "running"
	StopPending  State = "stop-pending"
	// OtherState is one that hnsproxy never has, such as paused.
	OtherState State = "other"
)

// Condition is the state of a service with what belongs to it.
type Condition struct {
	State State `json:"state"`
	// ProcessID is 0 when it does not run.
	ProcessID uint32 `json:"processID,omitempty"`
	// ExitCode is that of Windows, ServiceExitCode that of hnsproxy, of a service that is
	// stopped.
	ExitCode        uint32 `json:"exitCode,omitempty"`
	ServiceExitCode uint32 `json:"serviceExitCode,omitempty"`
}

// Manager is the service control manager with the event log. Errors about a service that is
// not there are ErrNotInstalled.
type Manager interface {
	Definition(name string) (Definition, error)
	Condition(name string) (Condition, error)
	// Create makes a service, Change gives one that exists another definition.
	Create(d Definition) error
	Change(d Definition) error
	Delete(name string) error
	// Start and Stop ask for it, and do not wait.
	Start(name string) error
	Stop(name string) error
	// RegisterSource makes events of this source readable; it may be registered already.
	// RemoveSource takes it away, or finds it gone.
	RegisterSource(source string) error
	RemoveSource(source string) error
}
