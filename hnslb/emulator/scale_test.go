// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator_test

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// A node of a large cluster: 10,000 load balancers of 15 backends, each backend its own
// remote endpoint.
const (
	scaleBalancers = 10_000
	scaleBackends  = 15
)

func scaleIP(base byte, i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(i))
	b[0] = base
	return netip.AddrFrom4(b)
}

func fill(tb testing.TB, e *emulator.Emulator, balancers int) {
	tb.Helper()
	net, err := e.AddNetwork(emulator.NetworkSpec{Name: "Calico"})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range balancers {
		ids := make([]hnslb.ID, scaleBackends)
		for j := range ids {
			ids[j] = addRemote(tb, e, net.ID, scaleIP(10, i*scaleBackends+j))
		}
		lb := balancerOf(ids, dsr)
		lb.VIPs[0] = scaleIP(100, i)
		if _, err := e.CreateLoadBalancer(tb.Context(), lb); err != nil {
			tb.Fatal(err)
		}
	}
}

func addRemote(tb testing.TB, e *emulator.Emulator, net hnslb.ID, ip netip.Addr) hnslb.ID {
	tb.Helper()
	ep, err := e.CreateEndpoint(tb.Context(), hnslb.Endpoint{
		Network: net, IPs: []netip.Addr{ip}, MAC: hnslb.RemoteMAC(ip), Remote: true,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return ep.ID
}

// TestMemory: the emulator shares a process whose memory is held at 300 MiB.
func TestMemory(t *testing.T) {
	const limit = 80 << 20
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	e := emulator.New(emulator.Config{})
	fill(t, e, scaleBalancers)
	used := heap() - before
	t.Logf("%d load balancers with %d endpoints take %.1f MiB", scaleBalancers, scaleBalancers*scaleBackends, float64(used)/(1<<20))
	if used > limit {
		t.Errorf("%d bytes, want at most %d", used, limit)
	}
	runtime.KeepAlive(e)
}

// BenchmarkReplaceEndpoint is one endpoint replaced in one load balancer, on a small and on
// a large node: a create, an update and a delete, which must not cost more on the large.
func BenchmarkReplaceEndpoint(b *testing.B) {
	for name, balancers := range map[string]int{"10": 10, "10000": scaleBalancers} {
		b.Run(name, func(b *testing.B) {
			e := emulator.New(emulator.Config{Profile: profiles.WS2025()})
			fill(b, e, balancers)
			net, err := e.Network(b.Context(), "Calico")
			if err != nil {
				b.Fatal(err)
			}
			lb := e.State().LoadBalancers[balancers/2].LoadBalancer
			i := 0
			for b.Loop() {
				old := lb.Endpoints[0]
				lb.Endpoints[0] = addRemote(b, e, net.ID, scaleIP(11, i%1000))
				i++
				if _, err := e.UpdateLoadBalancer(b.Context(), lb); err != nil {
					b.Fatal(err)
				}
				if err := e.DeleteEndpoint(b.Context(), old); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCreateDelete is one load balancer deleted and made again.
func BenchmarkCreateDelete(b *testing.B) {
	for name, balancers := range map[string]int{"10": 10, "10000": scaleBalancers} {
		b.Run(name, func(b *testing.B) {
			e := emulator.New(emulator.Config{})
			fill(b, e, balancers)
			lb := e.State().LoadBalancers[balancers/2].LoadBalancer
			for b.Loop() {
				if err := e.DeleteLoadBalancer(b.Context(), lb.ID); err != nil {
					b.Fatal(err)
				}
				lb.ID = ""
				var err error
				if lb, err = e.CreateLoadBalancer(b.Context(), lb); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkList reads everything of a large node.
func BenchmarkList(b *testing.B) {
	e := emulator.New(emulator.Config{})
	fill(b, e, scaleBalancers)
	for b.Loop() {
		if _, err := e.Endpoints(b.Context()); err != nil {
			b.Fatal(err)
		}
		if _, err := e.LoadBalancers(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
