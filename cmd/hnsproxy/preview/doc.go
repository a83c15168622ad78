// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package preview says what the proxy would do to an HNS, without one: the frontends that
// it would program, and the steps in their order, as if each step succeeded. Like the
// packages that it joins it is pure (law 2).
package preview
