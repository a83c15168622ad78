// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package observed holds the observed state of HNS, as far as it is known. It is a data structure
// without a driver (law 2): package engine passes in lists and each change that succeeded. The
// engine also tracks calls with an unknown outcome (law 6); the view only marks load balancers for
// which an update may or may not have taken effect.
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
// view.go holds the endpoints and loadbalancers.go the load balancers. merge.go merges a list batch
// by batch and returns the differences; it skips objects that were written while the list was made.
// owner.go decides which objects are ours, settings.go whether an HNS object matches what was
// requested.
package observed
