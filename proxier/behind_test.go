// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestLastSyncCatchesUp: a round that broke off, and left nothing to do, is not waited for by
// those who compare the time of the last sync with the time at which one was asked for.
func TestLastSyncCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "L2Bridge", profiles.WS2022(), time.Hour, 1)
		quiet := func() {
			pass(5 * time.Second)
			synctest.Wait()
		}
		quiet()
		w.do(action{Kind: "service"})
		w.do(action{Kind: "slice", Backends: []backend{{Host: 11}, {Host: 12}}})
		quiet()
		w.hns.LoseAnswers(hnslb.VerbDeleteEndpoint, 1)
		w.do(action{Kind: "slice", Backends: []backend{{Host: 11}}})
		quiet()
		asked := w.metric("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", "IPv4")
		done := w.metric("kubeproxy_sync_proxy_rules_last_timestamp_seconds", "IPv4")
		if asked == 0 || done < asked {
			t.Errorf("last sync at %f, asked for at %f", done, asked)
		}
	})
}

// metric returns a gauge or counter of the proxy that runs, by one of its labels.
func (w *world) metric(name, label string) float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == label }) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	w.t.Fatalf("no metric %s of %s", name, label)
	return 0
}
