// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/proxier"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// counts are calls of each verb that was called.
type counts map[hnslb.Verb]int

func called(hns *emulator.Emulator) counts {
	out := counts{}
	for v, n := range hns.Counts() {
		if n > 0 {
			out[v] = n
		}
	}
	return out
}

func wantCalls(t *testing.T, what string, hns *emulator.Emulator, want counts) {
	t.Helper()
	if diff := cmp.Diff(want, called(hns)); diff != "" {
		t.Errorf("calls for %s (-want +got):\n%s", what, diff)
	}
	hns.ResetCounts()
}

// TestCallsPerChange holds the number of HNS calls, which has no noise, at every size of
// cluster: what a change costs must not depend on what else there is (law 1).
func TestCallsPerChange(t *testing.T) {
	for _, size := range []int{10, 1000} {
		t.Run(fmt.Sprint("services=", size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(size, 10)
				hns := newHNS(t, profiles.WS2025(), emulator.NoLatency())
				n := start(t, hns, c)
				n.run()
				synctest.Wait()
				wantCalls(t, "a cold start", hns, counts{hnslb.VerbFeatures: 1, hnslb.VerbNetwork: 1, hnslb.VerbEndpoints: 1,
					hnslb.VerbLoadBalancers: 1, hnslb.VerbCreateEndpoint: size * 10, hnslb.VerbCreateLoadBalancer: size})

				store := n.proxy.Store()
				mustChange(t, true)(store.SetSlice(nil, c.replace(3)))
				synctest.Wait()
				if got := sum(hns.HCNCalls()); got > 10 {
					t.Errorf("one replaced endpoint costs %d calls through hcsshim, bar: 10", got)
				}
				wantCalls(t, "one replaced endpoint", hns, counts{hnslb.VerbCreateEndpoint: 1, hnslb.VerbUpdateLoadBalancer: 1, hnslb.VerbDeleteEndpoint: 1})

				slice := c.slice(3)
				slice.Annotations = map[string]string{corev1.EndpointsLastChangeTriggerTime: time.Now().Format(time.RFC3339Nano)}
				slice.ResourceVersion = "2"
				mustChange(t, false)(store.SetSlice(nil, slice))
				for i := range size {
					mustChange(t, false)(store.SetService(c.service(i)))
					mustChange(t, false)(store.SetSlice(nil, c.slice(i)))
				}
				synctest.Wait()
				wantCalls(t, "a metadata-only change and a resync", hns, counts{})
				n.stop()

				n = start(t, hns, c)
				n.run()
				synctest.Wait()
				wantCalls(t, "a restart on an unchanged node", hns, counts{hnslb.VerbFeatures: 1, hnslb.VerbNetwork: 1,
					hnslb.VerbEndpoints: 1, hnslb.VerbLoadBalancers: 1})
				if k, dark, ok := hns.WorstDark(); ok {
					t.Errorf("%s was dark for %s", k, dark.Total)
				}
				n.stop()
			})
		})
	}
}

func mustChange(t *testing.T, want bool) func(bool, error) {
	t.Helper()
	return func(changed bool, err error) {
		t.Helper()
		if err != nil || changed != want {
			t.Fatalf("changed: %v, want %v; error: %v", changed, want, err)
		}
	}
}

// TestCriticalFirst: cluster DNS and the API server's Service are the first that a cold
// start makes reachable.
func TestCriticalFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(100, 3)
		hns := newHNS(t, profiles.WS2022(), emulator.WS2022Latency())
		n := start(t, hns, c)
		critical := []*corev1.Service{
			{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kube-dns"}, Spec: corev1.ServiceSpec{
				ClusterIP: "10.97.0.10", Ports: []corev1.ServicePort{{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "dns-tcp", Port: 53, Protocol: corev1.ProtocolTCP}}}},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}, Spec: corev1.ServiceSpec{
				ClusterIP: "10.97.0.1", Ports: []corev1.ServicePort{{Name: "https", Port: 443, Protocol: corev1.ProtocolTCP}}}},
		}
		for i, svc := range critical {
			slice := newCluster(1, 2).slice(0)
			slice.Namespace, slice.Labels["kubernetes.io/service-name"] = svc.Namespace, svc.Name
			slice.Ports = nil
			for _, p := range svc.Spec.Ports {
				slice.Ports = append(slice.Ports, endpointPort(p))
			}
			slice.Endpoints[0].Addresses[0] = fmt.Sprint("12.0.0.", i*2+1)
			slice.Endpoints[1].Addresses[0] = fmt.Sprint("12.0.0.", i*2+2)
			mustChange(t, true)(n.proxy.Store().SetService(svc))
			mustChange(t, true)(n.proxy.Store().SetSlice(nil, slice))
		}
		n.run()
		// 4 endpoints and 3 load balancers at 8 ms each, the three reads before them, and
		// the write under way.
		<-time.After(7*8*time.Millisecond + 5*time.Millisecond)
		lbs, err := hns.LoadBalancers(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		var ready []string
		for _, lb := range lbs {
			key, _ := lb.Key()
			ready = append(ready, key.String())
		}
		slices.Sort(ready)
		if diff := cmp.Diff([]string{"10.97.0.10:53/TCP", "10.97.0.10:53/UDP", "10.97.0.1:443/TCP"}, ready); diff != "" {
			t.Errorf("first load balancers (-want +got):\n%s", diff)
		}
		n.stop()
		<-time.After(time.Second) // HNS ends the write that was under way
	})
}

// TestEfficiency holds the share of the time that HNS is at work on needed writes, while
// a cluster is programmed and while it churns faster than HNS can write. Time is real:
// our own CPU time counts against us.
func TestEfficiency(t *testing.T) {
	const bar = 0.9
	c := newCluster(40, 5)
	hns := newHNS(t, profiles.WS2025(), emulator.WS2022Latency())
	n := start(t, hns, c)
	begin := time.Now()
	n.coldStart(c)
	defer n.stop()
	cold := float64(hns.WriteTime()) / float64(time.Since(begin))

	n.settle()
	hns.ResetCounts()
	begin = time.Now()
	for range 3 {
		// A Service changes again only when all are written: no change is merged away, so
		// every write is needed.
		written := n.driver.expect(3 * c.services)
		for i := range c.services {
			mustChange(t, true)(n.proxy.Store().SetSlice(nil, c.replace(i)))
		}
		<-written
	}
	churn := float64(hns.WriteTime()) / float64(time.Since(begin))
	t.Logf("HNS at work: cold start %.3f, churn %.3f, bar %.1f", cold, churn, bar)
	if cold < bar || churn < bar {
		t.Errorf("HNS at work: cold start %.3f, churn %.3f, bar %.1f", cold, churn, bar)
	}
}

// TestMemory holds the live heap of the core at 10,000 Services of 15 endpoints: what the
// store, the desired state, the view and the status table keep, without the emulator,
// which stands outside the process on Windows. With GOGC at its default a process grows to
// twice its live heap; of the 300 MiB that the whole process may have, half are 150, and
// the informers' caches (about 40) and the runtime take their share.
func TestMemory(t *testing.T) {
	const bar = 95 << 20
	before := liveHeap()
	c := newCluster(10000, 15)
	hns := newHNS(t, profiles.WS2025(), emulator.NoLatency())
	n := start(t, hns, c)
	n.coldStart(c)
	n.settle()
	all := liveHeap() - before
	n.stop()
	rows := len(n.proxy.Table().Rows())
	n.proxy, n.driver = (*proxier.Proxier)(nil), nil
	emulated := liveHeap() - before
	runtime.KeepAlive(hns)
	t.Logf("live heap: core %d MiB, emulator %d MiB", (all-emulated)>>20, emulated>>20)
	if rows != c.services || all-emulated > bar {
		t.Errorf("the core keeps %d MiB for %d frontends, bar %d MiB", (all-emulated)>>20, rows, bar>>20)
	}
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestComputeIsFlat holds what one change costs to compute: no more allocations in a
// large cluster than in a small one.
func TestComputeIsFlat(t *testing.T) {
	var first float64
	for _, size := range sizes() {
		compute, i := newComputation(t, size, 15), 0
		allocs := testing.AllocsPerRun(200, func() { compute(i); i++ })
		if first == 0 {
			first = allocs
		}
		if allocs > first+1 {
			t.Errorf("%d Services: %.0f allocations per change, with %d Services %.0f", size, allocs, sizes()[0], first)
		}
	}
}

func endpointPort(p corev1.ServicePort) discoveryv1.EndpointPort {
	return discoveryv1.EndpointPort{Name: new(p.Name), Protocol: new(p.Protocol), Port: new(p.Port)}
}
