// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/proxier"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// served takes the time from each change of a Service until HNS sends its traffic to the
// backends that the change names. What HNS does counts, not what a call returns: answers may
// be lost, and calls may hang.
type served struct {
	mu      sync.Mutex
	now     map[netip.Addr][]netip.Addr
	want    map[netip.Addr][]netip.Addr
	pending map[netip.Addr][]servedChange
	changes []servedChange
}

// servedChange is one change that is served.
type servedChange struct {
	vip netip.Addr
	// addresses are those of the endpoints before the change and after it.
	addresses   []netip.Addr
	begun, done time.Time
}

func (c servedChange) took() time.Duration { return c.done.Sub(c.begun) }

func newServed() *served {
	return &served{now: map[netip.Addr][]netip.Addr{}, want: map[netip.Addr][]netip.Addr{}, pending: map[netip.Addr][]servedChange{}}
}

// heard is emulator.Config.Watch.
func (s *served) heard(serving emulator.Serving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	vip := serving.Frontend.VIP
	s.now[vip] = slices.SortedFunc(slices.Values(serving.Backends), netip.Addr.Compare)
	s.check(vip)
}

// change hands a slice of a Service to a proxy and starts its time.
func (s *served) change(t *testing.T, n *node, c *cluster, i int, slice *discoveryv1.EndpointSlice) {
	t.Helper()
	var want []netip.Addr
	for _, e := range slice.Endpoints {
		want = append(want, netip.MustParseAddr(e.Addresses[0]))
	}
	slices.SortFunc(want, netip.Addr.Compare)
	s.mu.Lock()
	vip := netip.MustParseAddr(c.service(i).Spec.ClusterIP)
	s.pending[vip] = append(s.pending[vip], servedChange{vip: vip, addresses: slices.Concat(s.now[vip], s.want[vip], want), begun: time.Now()})
	s.want[vip] = want
	s.check(vip)
	s.mu.Unlock()
	mustChange(t, true)(n.proxy.Store().SetSlice(nil, slice))
}

// check ends the changes of a VIP that sends to what the last of them names. A change that
// another one overtook is served with it.
func (s *served) check(vip netip.Addr) {
	if len(s.pending[vip]) == 0 || !slices.Equal(s.now[vip], s.want[vip]) {
		return
	}
	for _, c := range s.pending[vip] {
		c.done = time.Now()
		s.changes = append(s.changes, c)
	}
	delete(s.pending, vip)
}

// took returns how long the changes took that keep takes, shortest first. Each of all must be
// served.
func (s *served) took(t *testing.T, all int, keep func(servedChange) bool) []time.Duration {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.changes) != all {
		t.Errorf("%d of %d changes were served", len(s.changes), all)
	}
	var out []time.Duration
	for _, c := range s.changes {
		if keep == nil || keep(c) {
			out = append(out, c.took())
		}
	}
	if len(out) == 0 {
		t.Fatal("no change was served")
	}
	slices.Sort(out)
	return out
}

// p returns a percentile of sorted times.
func p(times []time.Duration, percent int) time.Duration {
	return times[min(len(times)*percent/100, len(times)-1)]
}

// usual is how the program runs a proxier, but for its timeouts.
func usual(cfg *proxier.Config) {
	cfg.AuditPeriod, cfg.MinSyncPeriod = 30*time.Second, 50*time.Millisecond
}

// wantFresh compares HNS with that of a node that comes up with the cluster as it is now:
// nothing is missing, and nothing is left over.
func wantFresh(t *testing.T, hns *emulator.Emulator, c *cluster) {
	t.Helper()
	fresh := newHNS(t, hns.Profile(), emulator.NoLatency())
	n := start(t, fresh, c)
	n.coldStart(c)
	n.stop()
	if diff := cmp.Diff(fresh.Dump(), hns.Dump()); diff != "" {
		t.Errorf("what HNS holds (-a fresh node +this one):\n%.2000s", diff)
	}
}

// writesThrough returns d with its writes going through a function of the test.
func writesThrough(d hnslb.Driver, write func(v hnslb.Verb, object string, call func() error) error) hnslb.Driver {
	return hnslb.Intercept(d, func(ctx context.Context, c hnslb.Call, next hnslb.Next) (out any, err error) {
		if !c.Verb.IsWrite() {
			return next(ctx)
		}
		err = write(c.Verb, c.Object, func() error {
			out, err = next(ctx)
			return err
		})
		return out, err
	})
}
