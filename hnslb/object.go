// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

// ObjectName returns the name of the endpoint in errors and logs: its first address, which is what
// people search for, else its name or ID.
func (e Endpoint) ObjectName() string {
	switch {
	case len(e.IPs) > 0:
		return e.IPs[0].String()
	case e.Name != "":
		return e.Name
	case e.ID != "":
		return string(e.ID)
	}
	return "endpoint without an address"
}

// ObjectName returns the name of the load balancer in errors and logs: its frontend, which is what
// people search for, or its ID if it has no single frontend.
func (lb LoadBalancer) ObjectName() string {
	if k, ok := lb.Key(); ok {
		return k.String()
	}
	if lb.ID != "" {
		return string(lb.ID)
	}
	return "load balancer without a single frontend"
}
