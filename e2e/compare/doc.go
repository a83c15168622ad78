// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Compare puts hnsproxy.exe and upstream's kube-proxy.exe through the same work, one after the other, and prints and stores what
// it took them:
//
//	cd e2e && go run ./compare --date 2026-01-31 --out ../benchmarks/results
//
// Both run under Wine with the same flags, against one real API server and one served emulator of HNS each. A run is: cold start on
// an empty HNS, changes at a steady rate, kill and restart, deletion of all Services. Compare says what each number is: see Result.
// After the load, each program meets troubles of HNS and of its Node, one after the other: see Healing. --parts=load or --parts=heal
// does the one or the other alone.
package main
