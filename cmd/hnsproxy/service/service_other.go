// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package service

// thisSystem has no services.
func thisSystem() system { return nil }

// IgnoreLogoff has nothing to do: no other system tells services that somebody logged off.
func IgnoreLogoff() error { return nil }

// Connect returns the service control manager of this machine.
func Connect() (Manager, error) { return nil, ErrNotWindows }
