// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"fmt"
	"testing"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
)

// sizes of clusters over which the curves must be flat.
func sizes() []int { return []int{10, 1000, 10000} }

// BenchmarkReplaceEndpoint measures one replaced endpoint, from the EndpointSlice to the
// last write: time, and calls in driver verbs and as hcsshim makes them.
func BenchmarkReplaceEndpoint(b *testing.B) {
	for _, size := range sizes() {
		b.Run(fmt.Sprint("services=", size), func(b *testing.B) {
			c := newCluster(size, 10)
			n := start(b, newHNS(b, profiles.WS2025(), emulator.NoLatency()), c)
			n.coldStart(c)
			defer n.stop()
			n.settle()
			n.hns.ResetCounts()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				slice := c.replace(i % size)
				written := n.driver.expect(3)
				if _, err := n.proxy.Store().SetSlice(nil, slice); err != nil {
					b.Fatal(err)
				}
				<-written
				i++
			}
			b.ReportMetric(float64(sum(n.hns.Counts()))/float64(i), "calls/op")
			b.ReportMetric(float64(sum(n.hns.HCNCalls()))/float64(i), "hcn-calls/op")
		})
	}
}

// BenchmarkCompute measures computing one changed Service of 15 endpoints: what is
// desired, and what that changes, without HNS.
func BenchmarkCompute(b *testing.B) {
	for _, size := range sizes() {
		b.Run(fmt.Sprint("services=", size), func(b *testing.B) {
			compute := newComputation(b, size, 15)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				compute(i)
				i++
			}
		})
	}
}

// newComputation fills a desired state and returns a function that computes the i-th
// change of one endpoint.
func newComputation(tb testing.TB, size, endpoints int) func(i int) {
	tb.Helper()
	c := newCluster(size, endpoints)
	env := desired.NewEnv(services.Node{Name: "this"}, hnslb.Network{Type: "L2Bridge"}, hnslb.FeaturesOf(hnslb.Version{Major: 15, Minor: 5}), desired.Options{})
	state := desired.NewState()
	var versions [2][]services.Input
	for v := range versions {
		store := services.NewStore("this", time.Time{})
		for i := range size {
			if _, err := store.SetService(c.service(i)); err != nil {
				tb.Fatal(err)
			}
			slice := c.slice(i)
			if v == 1 {
				slice = c.replace(i)
			}
			if _, err := store.SetSlice(nil, slice); err != nil {
				tb.Fatal(err)
			}
		}
		versions[v] = store.Take()
	}
	for _, in := range versions[0] {
		state.Set(in.Name, desired.Compute(in, env))
	}
	return func(i int) {
		in := versions[(i/size+1)%2][i%size]
		if changes := state.Set(in.Name, desired.Compute(in, env)); len(changes.Frontends) != 1 {
			tb.Fatalf("a change of one endpoint changed %d frontends", len(changes.Frontends))
		}
	}
}

func sum(counts map[hnslb.Verb]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}
