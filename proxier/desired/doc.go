// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package desired computes the desired state of HNS from Services and EndpointSlices. It is pure:
// values in, values out, without client, driver, clock, context or logger (law 2).
//
//	services.Input --Compute--> []Frontend --State.Set--> which frontends and endpoints changed
//	 (one Service)              (the same)   (all of them)
//
// compute.go computes the frontends of one Service. endpoints.go selects their backends, each rule
// with its KEP. state.go holds the frontends of all Services, resolves conflicts between Services
// that claim the same frontend, and tracks which frontends use which endpoint. healthcheck.go
// computes the answers of health check node ports and the load balancers in front of them.
// nodeports.go determines the addresses that serve node ports.
package desired
