// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scenario runs scenario tests, one behavior of a node per text file: Kubernetes objects
// and commands in, the state of HNS and the ways of packets out. README.md says how to
// write one; testdata holds them. The package is for tests only: it reads scenarios, carries
// out what happens to HNS, and prints what checks compare. Its own tests run the files on
// virtual time; those of the module e2e run them again with a real API server.
//
// Each file runs on both kinds of network, on an HNS that changes load balancers in place
// and on one that does not, with failing writes, and with its changes reversed, split,
// doubled and squashed. The end must be the same each time.
package scenario
