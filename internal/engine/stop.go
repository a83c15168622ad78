// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

// Stop lets the engine begin nothing but what must follow a call that was made: between the
// deletion of a load balancer and the creation after it the VIP serves nobody (law 8).
func (e *Engine) Stop() { e.stopping = true }

// Finishing tells whether calls are under way, or must follow.
func (e *Engine) Finishing() bool {
	return e.calls.running() > 0 || e.calls.alone != nil && e.calls.alone.dark
}
