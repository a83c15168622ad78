// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/hnsproxy/hnsproxy/internal/observed"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
)

// LearnFlags lets the view take flags that nobody asked for as a habit of HNS, and tells
// whether that made load balancers ours. It does so only where a load balancer with such
// flags is otherwise just what a frontend needs, since then it was made for it.
func LearnFlags(s *desired.State, v *observed.View) bool {
	for lb := range v.WithUnknownFlags {
		if servesExactly(lb, s.Frontend(lb.Key)) {
			return v.LearnFlags()
		}
	}
	return false
}

// servesExactly tells whether a load balancer leads to the backends of a frontend and to no others.
func servesExactly(lb *observed.LoadBalancer, f *desired.Frontend) bool {
	if !f.Programmable() || lb.InternalPort != f.InternalPort || lb.Dangling() || len(lb.Endpoints) != len(f.Backends) {
		return false
	}
	return !slices.ContainsFunc(f.Backends, func(b desired.Backend) bool {
		return !slices.ContainsFunc(lb.Endpoints, func(e *observed.Endpoint) bool { return e.IP == b.IP })
	})
}
