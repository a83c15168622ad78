// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package observed keeps the observed state of HNS: what it holds, as far as known. It is a data
// structure without a driver (law 2): package engine hands in what lists returned, and tells
// it of each change that succeeded. It is the engine that keeps track of calls with an unknown
// outcome (law 6); the view only marks a load balancer that may or may not have been changed.
//
//	        ours                     others'
//	+------------------+   +------------------------+
//	| remote endpoints |   | local endpoints (CNI)  |   read, never written (law 10)
//	| with our MAC     |   | anything else          |
//	+------------------+   +------------------------+
//	| load balancers   |   | load balancers         |   never touched; one that holds a
//	| of our shape     |   | of other networks, ... |   frontend we need blocks it
//	+------------------+   +------------------------+
//
// view.go holds the endpoints and balancers.go the load balancers. merge.go takes a list in
// piece by piece and returns what was different, leaving alone the objects that were written
// while the list was made. owner.go answers the one question "is it ours?", shape.go tells
// whether an HNS object is what was asked for.
package observed
