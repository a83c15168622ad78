// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the hnsproxy program as a library: its commands, and everything that they start.
//
//	command.go, plan.go, probe.go   commands
//	run.go                          starts all parts and waits for them
//	client.go, apimonitor.go        the API server and its availability
//	source.go, informers.go         Services, EndpointSlices and the Node, of files or the API server
//	cached.go                       what is kept of them
//	events.go                       Events
//	servers.go, scrape.go           HTTP servers and metrics
//	emulation.go                    --hns-driver=emulator
//	service.go                      hnsproxy service, with package service
//
// Run is the proxy without the command line. Tests pass it a driver, a clock and an output, and
// stop it by its context.
package app
