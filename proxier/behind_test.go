// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
)

// TestLastSyncCatchesUp: a round that broke off, and left nothing to do, is not waited for by
// those who compare the time of the last sync with the time at which one was asked for.
func TestLastSyncCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "L2Bridge", emulator.WS2022(), time.Hour, 1)
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
		times := map[string]float64{}
		families, err := w.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if name, ok := strings.CutPrefix(f.GetName(), "kubeproxy_sync_proxy_rules_last_"); ok {
				times[name] = valueOf(f, "IPv4")
			}
		}
		asked, done := times["queued_timestamp_seconds"], times["timestamp_seconds"]
		if asked == 0 || done < asked {
			t.Errorf("last sync at %f, asked for at %f", done, asked)
		}
	})
}

func valueOf(f *dto.MetricFamily, family string) float64 {
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetValue() == family {
				return m.GetGauge().GetValue()
			}
		}
	}
	return 0
}
