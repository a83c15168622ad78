// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package table shows frontends as people read them: once, or in place while they change.
//
//	table.go    one table, what stands below it
//	follow.go   --hns-table
//	notices.go  errors, which a log would draw over the table
//	calls.go    how often HNS was called
package table
