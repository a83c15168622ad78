// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"runtime/metrics"
)

// OwnUsage is the usage of this process.
func OwnUsage() (Usage, error) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples)
	cpu, peak, err := processTimes()
	return Usage{
		CPUSeconds: cpu, PeakMemoryBytes: peak,
		HeapBytes: samples[0].Value.Uint64(), Allocations: samples[1].Value.Uint64(), AllocatedBytes: samples[2].Value.Uint64(),
	}, err
}
