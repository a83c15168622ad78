// Copyright The hnsproxy Authors.
// SPDX-License-Identifier: Apache-2.0

package benchmarks

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hnsproxy/hnsproxy/hnslb"
	"github.com/hnsproxy/hnsproxy/hnslb/emulator"
	"github.com/hnsproxy/hnsproxy/hnslb/profiles"
)

// TestRefusedCalls: HNS refuses 500 of 1,000 Services for ever. After the cold start they cost
// at most 100 calls a minute, the audits included.
func TestRefusedCalls(t *testing.T) {
	const bar = 100
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(1000, 3)
		hns := newHNS(t, profiles.WS2022(), emulator.WS2022Latency())
		for i := range 500 {
			hns.Refuse(c.service(i).Spec.ClusterIP+":80/TCP", hnslb.ResultPortAlreadyExists)
		}
		n := start(t, hns, c, usual)
		n.run()
		defer n.stop()
		<-time.After(time.Minute)
		most, total := 0, 0
		const minutes = 30
		for range minutes {
			hns.ResetCounts()
			<-time.After(time.Minute)
			calls := sum(hns.Counts())
			most, total = max(most, calls), total+calls
		}
		t.Logf("500 refused: %d calls in the worst minute, %d on average; bar %d", most, total/minutes, bar)
		if most > bar {
			t.Errorf("%d calls in a minute, bar %d", most, bar)
		}
	})
}
