// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"testing"

	"github.com/hnsproxy/hnsproxy/internal/equaltest"
)

// TestEqual: the comparisons know every field, but what an Env derives from others, and of the
// network what counts as the host or is only named in messages.
func TestEqual(t *testing.T) {
	equaltest.EveryField(t, (*Frontend).Equal)
	equaltest.EveryField(t, (*Env).Same,
		"node.Eligible", "network.Name", "network.HostMAC", "network.Adapters", "routes", "denied")
}
