// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package hnslb

// ObjectName names the endpoint in errors and logs: its first address, since that is what
// people look for; failing that its name or ID.
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

// ObjectName names the load balancer in errors and logs: its frontend, since that is what
// people look for; its ID when it has no single frontend.
func (lb LoadBalancer) ObjectName() string {
	if k, ok := lb.Key(); ok {
		return k.String()
	}
	if lb.ID != "" {
		return string(lb.ID)
	}
	return "load balancer without a single frontend"
}
