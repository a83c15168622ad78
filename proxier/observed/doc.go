// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package observed is the view of HNS: what it holds, as far as we know. It is a data
// structure without a driver (law 2): others list HNS and hand the result in, and tell it
// of each change that succeeded.
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
// view.go holds the maps, owner.go answers the one question "is it ours?", shape.go tells
// whether an HNS object is what was asked for.
package observed
