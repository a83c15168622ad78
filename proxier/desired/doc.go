// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package desired computes the desired state of HNS from Services and EndpointSlices. It is pure: values in, values out, without
// client, driver, clock, context or logger (law 2).
//
//	services.Input --Compute--> []Frontend --State.Set--> which frontends and endpoints changed
//	 (one Service)              (the same)   (all of them)
//
// compute.go turns one Service into its frontends, endpoints.go chooses the backends, each
// rule with its KEP, state.go gathers the frontends of all Services, decides who wins a
// frontend that two claim, and knows which endpoint is wanted by whom. healthcheck.go says
// what health-check node ports answer and how load balancers reach them, nodeports.go on
// which addresses the node has node ports.
package desired
