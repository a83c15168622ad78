// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package proxier_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
	"github.com/hnsproxy/hnsproxy/metrics"
	"github.com/hnsproxy/hnsproxy/proxier"
	"github.com/hnsproxy/hnsproxy/proxier/services"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// TestObjectsBeforeRun: who asks a proxy that does not run gets no answer, in time, and is not
// answered when it runs at last.
func TestObjectsBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := proxier.New(proxier.Config{
			Driver: emulator.New(emulator.Config{Profile: profiles.WS2022()}), Network: "pods", Node: services.Node{Name: "this"},
			AuditPeriod: time.Minute, Metrics: metrics.New(prometheus.NewRegistry()), Logger: klog.Background(), Clock: clock.RealClock{},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, ok := p.Objects(ctx, nil); ok {
			t.Error("there is an answer")
		}
		running, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := p.Run(running); err != nil {
			t.Error(err)
		}
	})
}
