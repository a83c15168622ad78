// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	testingclock "k8s.io/utils/clock/testing"
)

// slowly returns d with 3 ms for each delete of an endpoint by a clock of its own.
func slowly(d hnslb.Driver, clock *testingclock.FakePassiveClock) hnslb.Driver {
	return hnslb.Intercept(d, func(ctx context.Context, c hnslb.Call, next hnslb.Next) (any, error) {
		if c.Verb == hnslb.VerbDeleteEndpoint {
			clock.SetTime(clock.Now().Add(3 * time.Millisecond))
		}
		return next(ctx)
	})
}

// TestCallsInLog: at --v=4 each call of HNS is one line with its object, its time, and what
// came of it; below that there is none.
func TestCallsInLog(t *testing.T) {
	t.Parallel()
	for _, level := range []int{callLevel, callLevel - 1} {
		book := &logLines{begin: time.Now()}
		c := testingclock.NewFakePassiveClock(time.Now())
		hns := emulator.New(emulator.Config{Profile: profiles.WS2022()})
		network, err := hns.AddNetwork(emulator.NetworkSpec{Name: "l2bridge", Subnets: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}})
		if err != nil {
			t.Fatal(err)
		}
		d := logCalls(slowly(hns, c), funcr.New(book.add, funcr.Options{Verbosity: level}), c)
		ctx := t.Context()
		_, _ = d.Features(ctx)
		_, _ = d.Network(ctx, "none")
		e, err := d.CreateEndpoint(ctx, hnslb.Endpoint{Network: network.ID, Remote: true, IPs: []netip.Addr{netip.MustParseAddr("10.244.1.9")}})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = d.Endpoints(ctx)
		_, _ = d.LoadBalancers(ctx)
		_, _ = d.CreateLoadBalancer(ctx, hnslb.LoadBalancer{})
		_, _ = d.UpdateLoadBalancer(ctx, hnslb.LoadBalancer{ID: "x"})
		_ = d.DeleteLoadBalancer(ctx, "y")
		if err := d.DeleteEndpoint(ctx, e.ID); err != nil {
			t.Fatal(err)
		}
		got := book.take()
		if level < callLevel {
			if len(got) > 0 {
				t.Errorf("--v=%d logs %q", level, got)
			}
			continue
		}
		verbs := map[string]bool{}
		for _, line := range got {
			verbs[line[strings.Index(line, `"call"=`):strings.Index(line, `"object"=`)]] = true
		}
		if len(got) != len(hnslb.Verbs()) || len(verbs) != len(got) {
			t.Errorf("%d lines about %d verbs, want %d:\n%s", len(got), len(verbs), len(hnslb.Verbs()), strings.Join(got, "\n"))
		}
		all := strings.Join(got, "\n")
		for _, want := range []string{
			`"msg"="HNS call" "call"="DeleteEndpoint" "object"="` + string(e.ID) + `" "took"="3ms"`, `"call"="CreateEndpoint" "object"="10.244.1.9" "took"="0s" "id"="` + string(e.ID) + `"`,
			`"call"="Network" "object"="none" "took"="0s" "err"=`, `"call"="Endpoints" "object"="all" "took"="0s" "found"=1`,
		} {
			if !strings.Contains(all, want) {
				t.Errorf("no %s in\n%s", want, all)
			}
		}
	}
}
