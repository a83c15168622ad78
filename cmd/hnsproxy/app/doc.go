// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package app is the program hnsproxy as a library: its command line and what it starts.
//
//	command.go, plan.go      the commands         options.go     of package options
//	run.go                   starts and joins     source.go, client.go, informers.go, kept.go
//	servers.go, scrape.go    what it serves       table.go, follow.go
//	emulator.go, plugin.go   --hns-driver=emulator only
//	service.go               hnsproxy service, on package service
//
// Run is the proxy without the command line: tests give it a driver, a clock and a place
// to write, and stop it by its context.
package app
