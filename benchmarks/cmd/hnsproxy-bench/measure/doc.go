// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package measure puts a load on a proxy and measures what becomes of it in HNS. It knows the proxy as a System, so that the same
// measuring does for one within this process and for a program that watches an API server.
//
// Nothing that the proxy says counts: the emulated HNS tells what each frontend sends to, and a change is in force when that is
// what the change asks for.
package measure
