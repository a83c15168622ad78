// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package traffic tests where packets go. It has no code of its own.
//
// Random Services, EndpointSlices, Nodes and pods are shown to a whole proxier on the HNS
// emulator. When it has settled, a packet is sent from every client to every address and
// port that anybody could mean, and each of its possible ends is held against an oracle:
//
//	oracle_test.go     what Kubernetes promises, one function per sentence of its documentation
//	endpoints_test.go  the part of it about endpoints
//	windows_test.go    what Windows cannot do of it, one rule per limit, with the reason
//	judge_test.go      whether what becomes of a packet is what the two allow
//	cluster_test.go    the clusters that are drawn
//	world_test.go      the node with HNS, its pods and the proxier; the changes that happen
//	packets_test.go    who sends to whom
//	traffic_test.go    the property
//
// The oracle reads the API objects and shares no code with packages services and desired:
// the two came about separately, so that a mistake in one shows. Each rule is counted, and
// a rule that no packet ever met fails the test.
//
//	go test ./proxier/traffic -rapid.checks=1000   # ten times as many histories
package traffic
