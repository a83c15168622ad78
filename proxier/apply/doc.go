// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

// Package apply carries out plans and tells the view what came of them: remembered after
// success, forgotten after deletion, stale after an unknown outcome (law 6). It decides
// nothing else; what failed appears again in the next plan.
package apply
