// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"testing"

	"github.com/hnsproxy/hnsproxy/internal/equaltest"
)

// TestEqual: the comparison knows every field, but the name, by which a service is found, and
// what nssm starts, which no wanted definition has.
func TestEqual(t *testing.T) {
	equaltest.EveryField(t, func(a, b *Definition) bool { return equal(*a, *b) }, "Name", "NSSM")
}
