// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

import "context"

// Viewer is implemented by drivers that access HNS through two interfaces and can return an object
// from each. It is optional, and for diagnosis only. Errors are those of Driver.
type Viewer interface {
	// ViewEndpoint returns an endpoint as JSON from V1 and V2.
	ViewEndpoint(ctx context.Context, id ID) (Views, error)
	// ViewLoadBalancer returns a load balancer as JSON from V1 and V2.
	ViewLoadBalancer(ctx context.Context, id ID) (Views, error)
}

// Views is an object as JSON from both interfaces of HNS.
type Views struct{ V1, V2 []byte }
