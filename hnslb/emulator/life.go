// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

// RestartOptions say what HNS does not bring back.
type RestartOptions struct {
	// LoseLoadBalancers: after a crash policies can be gone [A: k8s issue 110849,
	// AgentBaker PR 2085].
	LoseLoadBalancers bool
	// LoseEndpoints: endpoints can be gone, local ones too [A: calico issue 5164,
	// docker/for-win issue 12425].
	LoseEndpoints bool
}

// Stop ends the HNS service and all registrations for notifications. Every call fails with
// 0x800706ba or Faults.StoppedCode, calls on their way with 0x800706be [C: the codes of an
// RPC server that is gone; logs of HNS show 0x800706b5 alone]; hung calls too. VFP keeps carrying traffic, so nothing
// goes dark. Stopping twice is harmless.
func (e *Emulator) Stop() {
	e.mu.Lock()
	e.stopped = true
	e.epoch++
	e.endRegistrations()
	e.mu.Unlock()
	e.unhang() // those who wait meet the new epoch; abandoned writes are lost
}

// Start brings HNS back with its objects under the same IDs [A: k8s issue 139519], less
// what the options take. Load balancers that come back get their VFP rules again, node
// ports with the management IP of now [C].
func (e *Emulator) Start(o RestartOptions) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = false
	s := e.store
	if o.LoseLoadBalancers {
		for len(s.balancerOrder.items) > 0 {
			s.removeLoadBalancer(s.balancerOrder.items[0])
		}
	}
	if o.LoseEndpoints {
		for len(s.endpointOrder.items) > 0 {
			s.removeEndpoint(s.endpointOrder.items[0])
		}
	}
	for _, b := range s.balancerOrder.items {
		b.restored, b.noRules = true, false
		if net := s.networkByID(b.network); net != nil && isNodePort(b.LoadBalancer) {
			b.nodeIP = net.hostIP(familyOf(b.LoadBalancer))
		}
		s.noteLiveness(b)
	}
}

// Restart is Stop and Start.
func (e *Emulator) Restart(o RestartOptions) {
	e.Stop()
	e.Start(o)
}
