// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package servicetest is a service control manager in memory, for tests on any system.
package servicetest

import (
	"fmt"

	"github.com/hnsproxy/hnsproxy/cmd/hnsproxy/service"
)

// Manager is a service.Manager. Services start and stop at once unless a field says otherwise.
type Manager struct {
	Services map[string]*Service
	// Sources are registered for the event log.
	Sources map[string]bool
	// Writes are the calls that change something.
	Writes []string
	// Denied is the error of each of them.
	Denied error
}

// Service is a service of a Manager.
type Service struct {
	service.Definition
	service.Condition
	// OnStart is the state to which a start leads, StartPending for one that hangs; OnStop
	// likewise.
	OnStart, OnStop service.Condition
}

// New returns a Manager with services that are stopped.
func New(all ...service.Definition) *Manager {
	m := &Manager{Services: map[string]*Service{}, Sources: map[string]bool{}}
	for _, d := range all {
		m.put(d)
	}
	return m
}

func (m *Manager) put(d service.Definition) {
	m.Services[d.Name] = &Service{Definition: d, Condition: service.Condition{State: service.Stopped},
		OnStart: service.Condition{State: service.Running, ProcessID: 42}, OnStop: service.Condition{State: service.Stopped}}
}

func (m *Manager) find(name string) (*Service, error) {
	if s := m.Services[name]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("service %s: %w", name, service.ErrNotInstalled)
}

func (m *Manager) write(verb, name string) error {
	m.Writes = append(m.Writes, verb+" "+name)
	return m.Denied
}

// Definition is part of service.Manager.
func (m *Manager) Definition(name string) (service.Definition, error) {
	s, err := m.find(name)
	if err != nil {
		return service.Definition{}, err
	}
	return s.Definition, nil
}

// Condition is part of service.Manager.
func (m *Manager) Condition(name string) (service.Condition, error) {
	s, err := m.find(name)
	if err != nil {
		return service.Condition{}, err
	}
	return s.Condition, nil
}

// Create is part of service.Manager.
func (m *Manager) Create(d service.Definition) error {
	m.put(d)
	return m.write("create", d.Name)
}

// Change is part of service.Manager.
func (m *Manager) Change(d service.Definition) error {
	s, err := m.find(d.Name)
	if err != nil {
		return err
	}
	s.Definition = d
	return m.write("change", d.Name)
}

// Delete is part of service.Manager.
func (m *Manager) Delete(name string) error {
	delete(m.Services, name)
	return m.write("delete", name)
}

// Start is part of service.Manager.
func (m *Manager) Start(name string) error {
	s, err := m.find(name)
	if err != nil {
		return err
	}
	s.Condition = s.OnStart
	return m.write("start", name)
}

// Stop is part of service.Manager.
func (m *Manager) Stop(name string) error {
	s, err := m.find(name)
	if err != nil {
		return err
	}
	s.Condition = s.OnStop
	return m.write("stop", name)
}

// RegisterSource is part of service.Manager.
func (m *Manager) RegisterSource(source string) error {
	m.Sources[source] = true
	return nil
}

// RemoveSource is part of service.Manager.
func (m *Manager) RemoveSource(source string) error {
	delete(m.Sources, source)
	return nil
}
