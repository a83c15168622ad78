// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/hnsproxy/hnsproxy/internal/observed"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// LearnFlags makes the view ignore flags that HNS adds to every load balancer, and returns whether
// load balancers became ours by that. It does so only if a load balancer with such flags otherwise
// matches a frontend exactly, since then it was created for it.
func LearnFlags(s *desired.State, v *observed.View) bool {
	for lb := range v.WithUnknownFlags {
		if servesExactly(lb, s.Frontend(lb.Key)) {
			return v.LearnFlags()
		}
	}
	return false
}

// servesExactly returns whether a load balancer has exactly the backends of a frontend.
func servesExactly(lb *observed.LoadBalancer, f *desired.Frontend) bool {
	if !f.Programmable() || lb.InternalPort != f.InternalPort || lb.Dangling() || len(lb.Endpoints) != len(f.Backends) {
		return false
	}
	return !slices.ContainsFunc(f.Backends, func(b desired.Backend) bool {
		return !slices.ContainsFunc(lb.Endpoints, func(e *observed.Endpoint) bool { return e.IP == b.IP })
	})
}
