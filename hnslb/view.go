// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import "context"

// Viewer is implemented by drivers that reach HNS through two interfaces and can show one
// object as each of them does. It is optional as Watcher is, and for people who want to know:
// what hnsproxy needs of an object it takes from Driver. Errors are as those of Driver.
type Viewer interface {
	// ViewEndpoint returns an endpoint as JSON of V1 and of V2.
	ViewEndpoint(ctx context.Context, id ID) (Views, error)
	// ViewLoadBalancer returns a load balancer as JSON of V1 and of V2.
	ViewLoadBalancer(ctx context.Context, id ID) (Views, error)
}

// Views are one object as JSON through both interfaces of HNS.
type Views struct{ V1, V2 []byte }
