// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/internal/proxiertest"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/desired"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
)

// TestWithoutLocal counts Services, not frontends, and those of policy Local alone.
func TestWithoutLocal(t *testing.T) {
	t.Parallel()
	none := desired.Note{Reason: desired.NoEndpoints}
	frontend := func(name, vip string, local bool, note desired.Note) proxier.FrontendStatus {
		r := proxiertest.Row(name, vip, proxier.Blocked, note)
		r.Frontend.Local, r.Frontend.Blocked = local, note
		return r
	}
	got := map[hnslb.Family][2]int{}
	for f, n := range withoutLocal([]proxier.FrontendStatus{
		frontend("a", "10.96.0.1", true, none),
		frontend("a", "", true, none),
		frontend("b", "", true, none),
		frontend("c", "", false, none),
		frontend("d", "10.96.0.4", true, desired.Note{Reason: desired.Conflict}),
		frontend("e", "10.96.0.5", true, desired.Note{}),
		frontend("f", "fd00::1", true, none),
		frontend("f", "fd00::2", true, none),
	}) {
		got[f] = [2]int{n.internal.Len(), n.external.Len()}
	}
	if diff := cmp.Diff(map[hnslb.Family][2]int{hnslb.IPv4: {1, 2}, hnslb.IPv6: {1, 0}}, got); diff != "" {
		t.Errorf("internal and external (-want +got):\n%s", diff)
	}
}

// TestLimits: a frontend counts once for the reason of its state and for each of its limits.
func TestLimits(t *testing.T) {
	t.Parallel()
	limited := func(r proxier.FrontendStatus, limits ...desired.Reason) proxier.FrontendStatus {
		for _, l := range limits {
			r.Frontend.Limits = append(r.Frontend.Limits, desired.Note{Reason: l})
		}
		return r
	}
	because := func(r desired.Reason) desired.Note { return desired.Note{Reason: r} }
	got := limits([]proxier.FrontendStatus{
		proxiertest.Row("fine", "10.96.0.1", proxier.Programmed, desired.Note{}),
		proxiertest.Row("working", "10.96.0.2", proxier.Pending, desired.Note{}),
		limited(proxiertest.Row("a", "10.96.0.3", proxier.Programmed, desired.Note{}), desired.MixedPorts, desired.NoAffinity),
		limited(proxiertest.Row("b", "10.96.0.4", proxier.Blocked, because(desired.NoEndpoints)), desired.NoAffinity),
		proxiertest.Row("c", "10.96.0.5", proxier.Failing, because(desired.HNSPortInUse)),
		proxiertest.Row("d", "10.96.0.6", proxier.Pending, because(desired.LocalAwaited)),
	})
	want := map[metrics.Limit]int{
		{State: metrics.LimitDegraded, Reason: "MixedTargetPorts"}:           1,
		{State: metrics.LimitDegraded, Reason: "SessionAffinityUnsupported"}: 2,
		{State: metrics.LimitBlocked, Reason: "NoEndpoints"}:                 1,
		{State: metrics.LimitFailing, Reason: "HNSPortInUse"}:                1,
		{State: metrics.LimitDegraded, Reason: "LocalEndpointAwaited"}:       1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestPendingIsNotStuck: a change that was counted after the loop had taken it does not
// stay pending.
func TestPendingIsNotStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := emulatorWith(t, "net", "L2Bridge")
		reg := prometheus.NewRegistry()
		m := metrics.New(reg)
		p, err := proxier.New(proxier.Config{Driver: e, Network: "net", Node: services.Node{Name: "me"}, AuditPeriod: time.Hour, Metrics: m, Clock: clock.RealClock{}})
		if err != nil {
			t.Fatal(err)
		}
		stop := proxiertest.Start(p.Run)
		synctest.Wait()
		m.ServiceChange()
		page := httptest.NewRecorder()
		scraper{p, m}.wrap(metrics.Handler(reg, nil)).ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		if !strings.Contains(page.Body.String(), "\nkubeproxy_sync_proxy_rules_service_changes_pending 0\n") {
			t.Error("an idle proxy shows a pending change")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
