// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package observed

import (
	"testing"

	"github.com/hnsproxy/hnsproxy/internal/equaltest"
)

// TestSame: the comparison knows every field, but the frontend, by which the two were found, and
// what a list does not show.
func TestSame(t *testing.T) {
	equaltest.EveryField(t, (*LoadBalancer).same, "Key", "Degraded", "created", "outdated", "uncertain")
}
