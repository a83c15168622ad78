// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package vfp is a model of VFP, the virtual switch that carries out the load balancers of
// HNS: it says where a packet goes on a host, or why it is lost. It reads tables and keeps
// nothing, so it follows packets on an emulated host, on a list that was taken from a real
// one, and on a file alike.
//
// The rules come from published source, reference pages and logs, and each names its evidence
// with the marks of package emulator; docs/hns.md describes them.
package vfp
