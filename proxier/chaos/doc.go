// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chaos holds a fault campaign: random histories of a cluster and of a node on which
// everything goes wrong that was ever seen to go wrong with HNS, several things at once, in
// virtual time. It has tests only.
//
// A history is a script: one line for each thing that happens, with its parameters. A seed
// makes a script, and a script can be printed, read, shortened and replayed:
//
//	go test ./proxier/chaos -run TestChaos -v -seeds=10000
//	go test ./proxier/chaos -run TestReplay -seed=17
//	go test ./proxier/chaos -run TestReplay -script=history.txt
//
// After the last line all faults end, pods settle and time passes. Then a history is judged:
// HNS is as on a fresh node that saw only the last state of the cluster, every frontend is in
// force or says rightly why not, the proxy is quiet, it never touched what belongs to others,
// and no VIP with a usable backend was dark for longer than the faults forced.
//
// What can happen stands in two tables, one entry for each: changes_test.go has what happens
// to every cluster, faults_test.go what should not. An entry that is off says in one line why
// no end of it can be judged. testdata has short scripts of what once went wrong; each must end
// well.
package chaos
