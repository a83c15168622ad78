// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/klog/v2/ktesting"

	"github.com/hnsproxy/hnsproxy/hnslb"
)

// TestNodeMadeAnew: while the Node is deleted load balancers are told not to send here, and HNS
// stays as it is; re-created with another address it changes that address and no more, and both
// are told in the log.
func TestNodeMadeAnew(t *testing.T) {
	t.Parallel()
	dir := example(t)
	logger := ktesting.NewLogger(t, ktesting.NewConfig(ktesting.BufferLogs(true)))
	r := startWith(t, logger, func(o *Options, _ *Deps) { o.Objects = []string{dir} })
	r.settled()
	before := r.Emulator.Dump()
	r.Emulator.ResetCounts()
	healthz := func(want int) func() bool {
		return func() bool { code, _ := r.get("healthz", "/healthz"); return code == want }
	}
	logged := func(words string) func() bool {
		return func() bool {
			return strings.Contains(logger.GetSink().(ktesting.Underlier).GetBuffer().String(), words)
		}
	}
	edit(t, dir, "nodes.yaml", "name: win-node-1", "name: win-node-9")
	r.eventually("the Node goes", healthz(503))
	r.eventually("it is told", logged("Node was deleted"))
	edit(t, dir, "nodes.yaml", "name: win-node-9", "name: win-node-1")
	edit(t, dir, "nodes.yaml", "10.0.0.4}", "10.0.0.24}")
	r.eventually("the Node is back", healthz(200))
	r.eventually("it is told", logged("Node was created again"))
	r.eventually("so is its address", logged("Node changed"))
	r.eventually("and that the network has another one", logged("Node address is not the management IP"))
	r.settled()
	writes := map[hnslb.Verb]int{}
	for v, n := range r.Emulator.Counts() {
		if v.IsWrite() {
			writes[v] = n
		}
	}
	if diff := cmp.Diff(before, r.Emulator.Dump()); diff != "" || len(writes) > 0 {
		t.Errorf("writes %v; HNS (-before +after):\n%s", writes, diff)
	}
}
