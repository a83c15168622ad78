// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"slices"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// TestHNSChanges: an idle program notices without an audit that HNS lost what it held, in restarts and with its network.
func TestHNSChanges(t *testing.T) {
	t.Parallel()
	dir := example(t)
	r := start(t, func(o *Options, _ *Deps) { o.Objects, o.SyncPeriod = []string{dir}, time.Hour })
	r.settled()
	want := len(r.Emulator.State().LoadBalancers)
	if want == 0 {
		t.Fatal("there are no load balancers to lose")
	}
	for range 2 {
		r.Emulator.Restart(emulator.RestartOptions{LoseLoadBalancers: true})
		r.eventually("heal after a restart of HNS", func() bool { return len(r.Emulator.State().LoadBalancers) == want })
		r.settled()
	}
	n, err := r.Emulator.ReplaceNetwork("l2bridge")
	if err != nil {
		t.Fatal(err)
	}
	r.eventually("make remote endpoints on the new network", func() bool {
		return slices.ContainsFunc(r.Emulator.State().Endpoints, func(ep emulator.EndpointState) bool { return ep.Network == n.ID })
	})
}
