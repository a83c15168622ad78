// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"testing"

	"github.com/hnsproxy/hnsproxy/internal/equaltest"
)

// TestEqual: the comparisons know every field, but when a slice changed and what does not
// matter to the choice of endpoints.
func TestEqual(t *testing.T) {
	equaltest.EveryField(t, (*Service).Equal)
	equaltest.EveryField(t, (*Slice).Equal, "Trigger")
	equaltest.EveryField(t, func(a, b *Node) bool { return a.SameTopology(*b) }, "Eligible")
}
