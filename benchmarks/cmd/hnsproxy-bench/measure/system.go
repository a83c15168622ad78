// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"context"

	"github.com/hnsproxy/hnsproxy/benchmarks/cmd/hnsproxy-bench/load"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// System is a proxy, the source of its objects, and the HNS that it programs. HNS holds the cluster when measuring begins.
type System interface {
	// HNS is what the proxy programs. Its Config.Watch is the Hear of the Tracker.
	HNS() *emulator.Emulator
	// Apply begins the writes of a change. It does not wait for the proxy, and should not wait for a server either; changes of
	// one Service must arrive in order. An error ends the run.
	Apply(ctx context.Context, c load.Change) error
	// RestartProxy stops the proxy and starts it anew.
	RestartProxy(ctx context.Context) error
	// Idle tells that the proxy has nothing to do as far as it can be told from outside.
	Idle() bool
	// Usage is what the proxy's process took so far.
	Usage() (Usage, error)
}

// Usage is what a process took.
type Usage struct {
	CPUSeconds float64
	// HeapBytes is that of now, or the resident set of another process.
	HeapBytes uint64
	// PeakMemoryBytes is the most so far, 0 if only this package's samples can tell.
	PeakMemoryBytes uint64
	// Allocations and AllocatedBytes are 0 for another process.
	Allocations, AllocatedBytes uint64
}
