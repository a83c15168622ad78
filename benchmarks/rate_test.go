// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"fmt"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// BenchmarkChurn replaces endpoints as fast as the proxy takes them, each time one of another Service, on an HNS that answers at once.
func BenchmarkChurn(b *testing.B) {
	for _, services := range sizes() {
		b.Run(fmt.Sprint(services), func(b *testing.B) {
			c := newCluster(services, 10)
			n := start(b, newHNS(b, profiles.WS2025(), emulator.NoLatency()), c)
			n.coldStart(c)
			defer n.stop()
			n.settle()
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if _, err := n.proxy.Store().SetSlice(nil, c.replace(i*7919%services)); err != nil {
					b.Fatal(err)
				}
			}
			n.settle()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}
