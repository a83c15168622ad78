// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package service runs hnsproxy as a Windows service, and installs and manages that service.
//
// A Session is the side of the process that runs: it tells the service control manager how the
// program is doing, and ends the program when the manager wants it to. Installer and its
// neighbours are the side of the command "hnsproxy service": they create, change, start, stop
// and remove services through a Manager.
//
// Only the files for Windows call Windows. All decisions are made in the others, so that tests
// on any system reach them.
package service
